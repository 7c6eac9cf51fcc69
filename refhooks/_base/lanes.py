"""Lanes over the steps of a run, as SVG: for each reference its stages as blocks, and its strength.

Nothing is needed to draw them, and nothing to show them but a browser: a notebook and the page of
``refhooks play`` show the same drawing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.figures import colours_of, ticks
from refhooks._base.notebooks import html_text
from refhooks._base.strength_names import ARTIFACTS_ABOVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Block", "Lane", "lanes_html", "options_text"]

HIGHEST = 2.0  # strength
WIDTH, HEIGHT = 760.0, 132.0  # units of a lane's drawing, about a pixel each
LEAST = 560.0  # pixels: on a phone a lane is moved sideways rather than too small to read
LEFT, RIGHT, TOP, BOTTOM = 34.0, 6.0, 22.0, 18.0  # what stands around the plot
LETTER = 6.3  # width of a letter of a block's name
FEW = 60  # up to so many steps, the curve has a dot at each
LIKELY, HATCH = "#E8450A", 9.0  # a colour that no method has, and pixels from line to line
REFUSED = "margin:.2em 0;border-left:4px solid #D00;padding:.2em .6em"
FONT = "font-family:system-ui,sans-serif;font-size:11px"


@attrs.frozen
class Block:
    """A stage, as a block of a lane.

    Attributes:
        name: What its colour stands for: the method.
        start: Its first step, from 0.
        end: The first step after it.
        more: What is written after the name, such as the method's options.
    """

    name: str
    start: int
    end: int
    more: str = ""


@attrs.frozen
class Lane:
    """What one reference, or run plugin, does over the steps.

    Attributes:
        title: What is written above it.
        strengths: 0–2, one a step; empty: it could not be planned.
        blocks: Its stages, in order.
        areas: Share of the picture in which it may act, 0–1, one a step; empty: all of it.
        refused: Why it cannot run, which is written at it; empty: it can.
        notes: What else there is to say of it.
    """

    title: str
    strengths: tuple[float, ...] = ()
    blocks: tuple[Block, ...] = ()
    areas: tuple[float, ...] = ()
    refused: str = ""
    notes: tuple[str, ...] = ()


def lanes_html(lanes: Sequence[Lane], registered: Iterable[str]) -> str:
    """Return lanes as HTML with an SVG each; what is written in them acts as no markup.

    Args:
        lanes: One a reference, and a run plugin that has a strength.
        registered: The names of all methods: each has one colour in every drawing.
    """
    names = [block.name for lane in lanes for block in lane.blocks]
    colours = colours_of(names, registered)
    parts = []
    for lane in lanes:
        parts.append(f"<h4 style='margin:.6em 0 .1em'>{html_text(lane.title)}</h4>")
        if lane.strengths:
            parts.append(_drawn(lane, colours))
        if lane.refused:
            parts.append(f"<p role='alert' style='{REFUSED}'>{html_text(lane.refused)}</p>")
        parts += [f"<p style='margin:.2em 0'>{html_text(note)}</p>" for note in lane.notes]
    return f"<div class='refhooks-lanes'>{''.join(parts)}</div>"


def _drawn(lane: Lane, colours: Mapping[str, str]) -> str:
    plot = _Plot(len(lane.strengths))
    marks = [
        plot.frame(),
        *[plot.block(block, colours[block.name]) for block in lane.blocks],
        plot.likely(),
        plot.curve(lane.strengths, [colours[it.name] for it in lane.blocks], lane.blocks),
        plot.dashes(lane.areas) if min(lane.areas, default=1.0) < 1.0 else "",
    ]
    said = f"{lane.title}: {'; '.join(_said(block, lane.strengths) for block in lane.blocks)}"
    box = f"viewBox='0 0 {WIDTH:g} {HEIGHT:g}' width='100%'"
    size = f"min-width:{LEAST:g}px;max-width:{WIDTH * 1.4:g}px;display:block;{FONT}"
    return (
        f"<div style='overflow-x:auto'><svg {box} style='{size}' fill='currentColor' role='img'"
        f" aria-label='{html_text(said)}'>{''.join(marks)}</svg></div>"
    )


def _said(block: Block, strengths: Sequence[float]) -> str:
    """A block in words, for who cannot see it."""
    inside = strengths[block.start : block.end]
    low, high = min(inside), max(inside)
    strength = f"{low:.3g}" if low == high else f"{inside[0]:.3g} to {inside[-1]:.3g}"
    more = f" ({block.more})" if block.more else ""
    return f"{block.name}{more}, steps {block.start + 1} to {block.end}, strength {strength}"


@attrs.frozen
class _Plot:
    """Where steps and strengths stand in the drawing."""

    steps: int

    def x(self, edge: float) -> float:
        """Of an edge between steps: 0 before the first, ``steps`` after the last."""
        return LEFT + edge * (WIDTH - LEFT - RIGHT) / self.steps

    def y(self, strength: float) -> float:
        return TOP + (1.0 - strength / HIGHEST) * (HEIGHT - TOP - BOTTOM)

    def frame(self) -> str:
        """Lines at 0, 1 and 2, and the numbers."""
        left, right = self.x(0), self.x(self.steps)
        marks = []
        for strength in (0.0, 1.0, 2.0):
            y = self.y(strength)
            marks.append(
                f"<path d='M{left:.1f} {y:.1f}H{right:.1f}' stroke='currentColor'"
                " stroke-width='.6' opacity='.5'/>"
                f"<text x='{left - 5:.1f}' y='{y + 4:.1f}' text-anchor='end'>{strength:g}</text>"
            )
        marks += [
            f"<text x='{self.x(step - 0.5):.1f}' y='{HEIGHT - 5:g}' text-anchor='middle'>"
            f"{step}</text>"
            for step in ticks(self.steps)
        ]
        return "".join(marks)

    def likely(self) -> str:
        """The band where artifacts are likely: hatched, so that it shows on every colour."""
        left, right, low = self.x(0), self.x(self.steps), self.y(ARTIFACTS_ABOVE)
        high = low - TOP
        lines = [
            f"M{at:.1f} {low:.1f}l{min(high, right - at):.1f} {-min(high, right - at):.1f}"
            for at in (left + HATCH * it for it in range(int((right - left) / HATCH)))
        ]
        return (
            f"<g stroke='{LIKELY}' fill='none'><title>artifacts are likely above"
            f" {ARTIFACTS_ABOVE:g}</title><path d='{''.join(lines)}' stroke-width='1'/>"
            f"<path d='M{left:.1f} {low:.1f}H{right:.1f}' stroke-width='1.5'/></g>"
        )

    def block(self, block: Block, colour: str) -> str:
        """A stage: its ground, its name above it, and a line where it begins."""
        left, right = self.x(block.start), self.x(block.end)
        name = f"{block.name} {block.more}".strip()
        letters = int((right - left - 4) / LETTER)
        shown = name if len(name) <= letters else f"{name[: max(letters - 1, 0)]}…"
        border = "" if block.start == 0 else (
            f"<path d='M{left:.1f} 4V{self.y(0):.1f}' stroke='currentColor' stroke-width='1.2'"
            " stroke-dasharray='2 3'/>"
        )  # fmt: skip
        return (
            f"<g><title>{html_text(name)}</title><rect x='{left:.1f}' y='4'"
            f" width='{right - left:.1f}' height='{self.y(0) - 4:.1f}' fill='{colour}'"
            f" opacity='.16'/><rect x='{left:.1f}' y='4' width='{right - left:.1f}' height='3'"
            f" fill='{colour}'/><text x='{left + 4:.1f}' y='18'>{html_text(shown)}</text>"
            f"</g>{border}"
        )

    def curve(
        self, strengths: Sequence[float], colours: Sequence[str], blocks: Sequence[Block]
    ) -> str:
        """The strength: a step holds for its width, and a line joins the middles."""
        parts = []
        for block, colour in zip(blocks, colours, strict=True):
            inside = range(block.start, block.end)
            bars = "".join(
                f"M{self.x(it):.1f} {self.y(0):.1f}V{self.y(strengths[it]):.1f}"
                f"H{self.x(it + 1):.1f}V{self.y(0):.1f}Z"
                for it in inside
            )
            points = [(self.x(it + 0.5), self.y(strengths[it])) for it in inside]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            dots = [
                f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2.6' fill='{colour}'>"
                f"<title>step {it + 1}: {strengths[it]:.3g}</title></circle>"
                for it, (x, y) in zip(inside, points, strict=True)
            ]
            parts.append(
                f"<path d='{bars}' fill='{colour}' opacity='.35'/>"
                f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='2'/>"
                f"{''.join(dots) if self.steps <= FEW else ''}"
            )
        return "".join(parts)

    def dashes(self, areas: Sequence[float]) -> str:
        """The share of the picture in which the reference may act."""
        line = " ".join(
            f"{self.x(it + 0.5):.1f},{self.y(area):.1f}" for it, area in enumerate(areas)
        )
        return (
            f"<polyline points='{line}' fill='none' stroke='currentColor' stroke-width='1.2'"
            " stroke-dasharray='6 4'><title>share of the picture</title></polyline>"
        )


def options_text(value: Any) -> str:
    """Return the options of a value that are not their defaults, as ``formula=add``."""
    if not attrs.has(type(value)):
        return ""
    fields = [it for it in attrs.fields(type(value)) if it.init]
    options = [(it, getattr(value, it.name)) for it in fields]
    return " ".join(f"{it.alias}={given}" for it, given in options if _is_said(it, given))


def _is_said(field: Any, value: Any) -> bool:
    """A default may be made anew, and compare as an array does."""
    try:
        return value is not None and not bool(value == field.default)
    except (TypeError, ValueError):
        return True
