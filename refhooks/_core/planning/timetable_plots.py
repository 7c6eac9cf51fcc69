"""A timetable as a picture."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from refhooks._base.figures import colours_of, legend_columns, new_figure, ticks
from refhooks._base.strength_names import ARTIFACTS_ABOVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["draw_timetable"]

HIGHEST = 2.0  # strength
WIDTH, HEIGHT = 8.0, 2.1  # inches; the height is that of one reference
FEW = 60  # up to so many steps, each has an outline of its own
SWITCH: dict[str, Any] = {"color": "black", "linewidth": 1.0, "linestyle": ":"}
AREA: dict[str, Any] = {"color": "black", "linewidth": 1.2, "linestyle": "--"}
ARTIFACTS: dict[str, Any] = {"color": "red", "alpha": 0.1, "linewidth": 0, "zorder": 0}


def draw_timetable(
    steps: Sequence[Any],
    registered: Iterable[str],
    plugins: Sequence[tuple[str, Sequence[float]]] = (),
) -> Any:
    """Return a figure of the strength of every reference over the steps, coloured by method.

    Args:
        steps: Those of a timetable, each with its rows.
        registered: The names of all methods: each has one colour in every plot.
        plugins: Run plugins that have a strength, which have a panel each: name and strengths.

    Raises:
        InputError: matplotlib is not installed.
    """
    count = len(steps[0].rows) + len(plugins)
    figure = new_figure(WIDTH, 0.9 + HEIGHT * count)
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    names = [row.method for planned in steps for row in planned.rows]
    colours = colours_of(names, registered)
    for reference in range(len(steps[0].rows)):
        _draw(panels[reference], [planned.rows[reference] for planned in steps], colours)
    for panel, (name, strengths) in zip(panels[len(steps[0].rows) :], plugins, strict=True):
        panel.bar(range(1, len(steps) + 1), strengths, width=1.0, color="grey")
        _frame(panel, len(steps), name)
    panels[-1].set_xlabel("step")
    panels[-1].set_xticks(ticks(len(steps)))
    _explain(figure, steps, colours)
    return figure


def _draw(panel: Any, rows: Sequence[Any], colours: dict[str, str]) -> None:
    """One bar a step, ``off`` where it is 0, and a line where the stage changes."""
    outline: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.8}
    if len(rows) > FEW:
        outline = {"linewidth": 0.0, "antialiased": False}  # else seams make a pattern
    panel.bar(
        range(1, len(rows) + 1),
        [row.strength for row in rows],
        width=1.0,
        color=[colours[row.method] for row in rows],
        **outline,
    )
    for (method, strength), run in itertools.groupby(
        enumerate(rows, 1), lambda numbered: (numbered[1].method, numbered[1].strength)
    ):
        if strength == 0.0:
            _mark_off(panel, [step for step, _ in run], len(rows), colours[method])
    for step, (before, row) in enumerate(itertools.pairwise(rows), 1):
        if before.stage != row.stage:
            panel.axvline(step + 0.5, **SWITCH)
    if _is_confined(rows):
        edges = [step + 0.5 for step in range(len(rows) + 1)]
        panel.stairs([row.area for row in rows], edges, baseline=None, **AREA)
    _frame(panel, len(rows), f"reference {rows[0].reference + 1}")


def _frame(panel: Any, steps: int, title: str) -> None:
    panel.axhline(1.0, color="black", linewidth=0.6, alpha=0.5)
    panel.axhspan(ARTIFACTS_ABOVE, HIGHEST, **ARTIFACTS)
    panel.set_xlim(0.5, steps + 0.5)
    panel.set_ylim(0.0, HIGHEST)
    panel.set_yticks([0.0, 0.5, 1.0, 1.5, 2.0])
    panel.set_ylabel("strength")
    panel.set_title(title, loc="left", fontsize="medium")


def _is_confined(rows: Iterable[Any]) -> bool:
    """Whether a mask keeps a reference to a part of the picture at some step."""
    return any(row.area is not None and row.area < 1.0 for row in rows)


def _mark_off(panel: Any, steps: list[int], total: int, colour: str) -> None:
    """A foot in the method's colour: that a step has a method at strength 0 is to be seen."""
    middle = (steps[0] + steps[-1]) / 2
    panel.bar(middle, 0.03, width=len(steps), color=colour, linewidth=0)
    if len(steps) / total > 0.05:
        panel.annotate("off", (middle, 0.08), ha="center", fontsize="small", color="dimgrey")


def _explain(figure: Any, steps: Sequence[Any], colours: dict[str, str]) -> None:
    """One legend for all panels, outside of them."""
    from matplotlib.lines import Line2D  # noqa: PLC0415  an extra
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles: list[Any] = [Patch(color=colour, label=name) for name, colour in colours.items()]
    stages = [[row.stage for row in planned.rows] for planned in steps]
    if stages[0] != stages[-1]:
        handles.append(Line2D([], [], label="next stage", **SWITCH))
    if _is_confined(row for planned in steps for row in planned.rows):
        handles.append(Line2D([], [], label="share of the picture", **AREA))
    handles.append(Patch(label="artifacts likely", **ARTIFACTS))
    columns = legend_columns([handle.get_label() for handle in handles], WIDTH)
    figure.legend(
        handles=handles, loc="outside upper right", ncols=columns, fontsize="small", frameon=False
    )
