"""Plots of a scorecard: what strength does, and what an edit costs of what should stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from refhooks._base.figures import COLOURS, colours_of, legend_columns, new_figure, place_labels
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import InputError
from refhooks.score._measures import interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks.score._card import Scorecard
    from refhooks.score._card_parts import Score
    from refhooks.score._measures import Interval

PANEL = 3.6  # inches
TITLES = {
    "done": "edit done",
    "kept": "kept outside",
    "copied": "copied from the source",
    "edges": "edges kept (whole picture)",
    "attention": "attention share",
}
SHARES = ("done", "kept", "copied", "edges")  # whose scale ends at 1
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SHOWN = 12  # cells that are named on the front


def draw_responses(card: Scorecard, kinds: str | Sequence[str] | None = None) -> Any:
    """Draw each measure over strength, a line a method, with bands for the 95 % intervals.

    Args:
        card: Cells of constant strength, at denoise 1, are drawn.
        kinds: Of edit; ``None``: those of ``card.pooled``.

    Returns:
        The figure.

    Raises:
        InputError: matplotlib is not installed, or no method has two strengths.
    """
    methods = list(dict.fromkeys(cell.method for cell in card.cells))
    curves = {
        measure: {
            method: points
            for method in methods
            if len(points := card.curve(method, measure, kinds)) > 1
        }
        for measure in TITLES
        if measure in card.measures
    }
    curves = {measure: lines for measure, lines in curves.items() if lines}
    if not curves:
        raise InputError("there is no curve to draw: no method was scored at two strengths")
    drawn = [method for method in methods if any(method in lines for lines in curves.values())]
    colours = colours_of(drawn, load_registry().methods)
    figure = new_figure(PANEL * len(curves), PANEL)
    panels = figure.subplots(1, len(curves), sharex=True, squeeze=False)[0]
    for panel, (measure, lines) in zip(panels, curves.items(), strict=True):
        for method, points in lines.items():
            strengths = [strength for strength, _ in points]
            bands = [it for _, it in points]
            panel.plot(strengths, [it.mean for it in bands], "o-", color=colours[method],
                       markersize=3, label=method)  # fmt: skip
            panel.fill_between(strengths, [it.low for it in bands], [it.high for it in bands],
                               color=colours[method], alpha=0.18, linewidth=0)  # fmt: skip
        low, high = panel.get_ylim()
        panel.set_ylim(min(low, 0.0), max(high, 1.0) if measure in SHARES else high)
        panel.set_title(TITLES[measure], loc="left", fontsize="medium")
        panel.set_xlabel("strength")
        panel.grid(alpha=0.25)
    _legend(figure, panels)
    return figure


def _legend(figure: Any, panels: Any) -> None:
    entries: dict[str, Any] = {}
    for panel in panels:
        handles, names = panel.get_legend_handles_labels()
        entries |= dict(zip(names, handles, strict=True))
    columns = legend_columns(entries, figure.get_figwidth())
    figure.legend(
        entries.values(), entries.keys(), loc="outside upper center", ncols=columns,
        fontsize="small", frameon=False,
    )  # fmt: skip


def draw_tradeoff(card: Scorecard, kinds: str | Sequence[str] | None = None) -> Any:
    """Draw edit done against kept, a dot a cell, and mark the best front.

    The best (Pareto) front is the cells of which no other has both measures as high and one higher.

    Args:
        card: Cells of which both are known are drawn.
        kinds: Of edit; ``None``: those of ``card.pooled``.

    Returns:
        The figure.

    Raises:
        InputError: matplotlib is not installed, or no cell has both measures.
    """
    points = tradeoff(card, kinds)
    if not points:
        raise InputError("there is nothing to draw: no cell has both edit done and kept")
    figure = new_figure(2.4 * PANEL, 1.7 * PANEL)
    panel = figure.subplots()
    methods = list(dict.fromkeys(cell.method or cell.name for cell, _, _ in points))
    colours = colours_of(methods, load_registry().methods)
    for place, method in enumerate(methods):
        own = [it for it in points if (it[0].method or it[0].name) == method]
        x, y = [it[2].mean for it in own], [it[1].mean for it in own]
        panel.errorbar(
            x, y,
            xerr=[[it[2].mean - it[2].low for it in own], [it[2].high - it[2].mean for it in own]],
            yerr=[[it[1].mean - it[1].low for it in own], [it[1].high - it[1].mean for it in own]],
            fmt=MARKERS[place // len(COLOURS) % len(MARKERS)], color=colours[method],
            markersize=4, linewidth=0.4, alpha=0.8, label=method,
        )  # fmt: skip
    best = front(points)
    _draw_front(panel, best)
    panel.set_xlabel(TITLES["kept"])
    panel.set_ylabel("edit done, on the same scenes")
    panel.set_xlim(right=1.02)
    panel.set_ylim(0.0, 1.02)
    panel.grid(alpha=0.25)
    _legend(figure, [panel])
    shown = best[:: -(-len(best) // SHOWN)]
    place_labels(panel, [(kept.mean, done.mean, cell.name) for cell, done, kept in shown])
    return figure


def tradeoff(
    card: Scorecard, kinds: str | Sequence[str] | None = None
) -> list[tuple[Score, Interval, Interval]]:
    """Return each cell with its edit done and its kept, both over the scenes that have both."""
    points = []
    for cell in card.cells:
        done, kept = (card.values(cell.name, name, kinds) for name in ("done", "kept"))
        both = ~(np.isnan(done) | np.isnan(kept))
        if both.any():
            points.append((cell, interval(done[both]), interval(kept[both])))
    return points


def front(
    points: Sequence[tuple[Score, Interval, Interval]],
) -> list[tuple[Score, Interval, Interval]]:
    """Return the cells that no other beats in both measures, by rising kept.

    A cell on fewer scenes than others, as one that was run on some kinds only, is none: its means
    are of other scenes.
    """
    most = max((done.count for _, done, _ in points), default=0)
    best: list[tuple[Score, Interval, Interval]] = []
    for point in sorted(points, key=lambda it: (it[2].mean, it[1].mean), reverse=True):
        level = (point[1].mean, point[2].mean)
        if point[1].count == most and (
            not best or level[0] > best[-1][1].mean or level == (best[-1][1].mean, best[-1][2].mean)
        ):
            best.append(point)
    return best[::-1]


def _draw_front(panel: Any, best: Sequence[tuple[Score, Interval, Interval]]) -> None:
    x, y = [it[2].mean for it in best], [it[1].mean for it in best]
    panel.step(x, y, where="pre", color="black", linewidth=1.0, linestyle="--", label="best front")
    panel.plot(x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor="black")
