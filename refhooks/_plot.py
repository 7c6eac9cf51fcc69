"""A timetable as a picture."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refhooks._bands import ARTIFACTS_ABOVE
from refhooks._strategy import MAX_STRENGTH
from refhooks.errors import InputError

if TYPE_CHECKING:
    from refhooks._timetable import Timetable

__all__ = ["plot_timetable"]

WIDTH, HEIGHT = 8.0, 2.4  # inches; the height is that of one reference
DOTS = 120  # an inch


def plot_timetable(timetable: Timetable, path: str | Path) -> Path:
    """Draw the strength of every reference over the steps, coloured by method.

    Raises:
        InputError: matplotlib is not installed, or the file cannot be written.
    """
    place = Path(path)
    if place.suffix.lower() != ".png":
        raise InputError(f"{place}: a plot is written as .png")
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra
    except ImportError as error:
        raise InputError(
            'a plot needs matplotlib; install it with: pip install "refhooks[plot]"'
        ) from error
    count = len(timetable.steps[0].rows)
    figure = Figure(figsize=(WIDTH, 0.6 + HEIGHT * count), dpi=DOTS, layout="constrained")
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    methods = sorted({row.method for planned in timetable.steps for row in planned.rows})
    colours = {method: f"C{place % 10}" for place, method in enumerate(methods)}
    for reference, panel in enumerate(panels):
        _draw(panel, timetable, reference, colours)
    panels[-1].set_xlabel("step")
    try:
        figure.savefig(place, format="png")
    except OSError as error:
        raise InputError(f"{place} cannot be written: {error}") from error
    return place


def _draw(panel: Any, timetable: Timetable, reference: int, colours: dict[str, str]) -> None:
    """One bar a step, a cross where it is 0, and a line where the stage changes."""
    rows = [planned.rows[reference] for planned in timetable.steps]
    for method in dict.fromkeys(row.method for row in rows):
        steps = [step for step, row in enumerate(rows, 1) if row.method == method]
        strengths = [rows[step - 1].strength for step in steps]
        panel.bar(steps, strengths, width=0.85, color=colours[method], label=method)
        off = [step for step in steps if rows[step - 1].strength == 0.0]
        panel.plot(off, [0.0] * len(off), "x", color=colours[method], clip_on=False)
    for step, (before, row) in enumerate(itertools.pairwise(rows), 1):
        if before.stage != row.stage:
            panel.axvline(step + 0.5, color="black", linewidth=0.8, linestyle=":")
    panel.axhline(1.0, color="grey", linewidth=0.8)
    panel.axhspan(ARTIFACTS_ABOVE, MAX_STRENGTH, color="red", alpha=0.08, linewidth=0, zorder=0)
    panel.set_xlim(0.4, len(rows) + 0.6)
    panel.set_ylim(0.0, MAX_STRENGTH)
    panel.xaxis.get_major_locator().set_params(integer=True)
    panel.set_ylabel("strength")
    panel.set_title(f"reference {reference + 1}", loc="left", fontsize="medium")
    panel.legend(
        loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=5, fontsize="small", frameon=False
    )
