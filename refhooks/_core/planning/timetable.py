"""A strategy compiled for N steps: what every reference does at every step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.figures import write_plot
from refhooks._base.lanes import lanes_html
from refhooks._base.names import listed
from refhooks._base.notebooks import html_table, html_text
from refhooks._base.strength_names import band
from refhooks._core.planning.lanes import lanes_of

if TYPE_CHECKING:
    from pathlib import Path

    from refhooks._core.contract.values import Planned, Row

__all__ = ["PluginStrengths", "Timetable"]


@attrs.frozen
class PluginStrengths:
    """The strength of a run plugin over the steps of a run.

    Attributes:
        name: Such as ``plugin glow``; those of one name are numbered.
        strengths: 0–2 at each of the ``N`` steps; 0 outside of its window.
        start: The first step of the window, from 0.
        end: The first step after it.
    """

    name: str
    strengths: tuple[float, ...]
    start: int
    end: int


@attrs.frozen
class Timetable:
    """What every reference does at every step; what is planned is what runs.

    Attributes:
        steps: One entry a step.
        remarks: What the methods have to say of the plan, a line each.
        plugins: The run plugins that have a strength, with it.
        steered: What may set strengths while the run goes, by name: those of a plan are then what
            it begins with, and those of a result what was applied.
    """

    steps: tuple[Planned, ...]
    remarks: tuple[str, ...] = ()
    plugins: tuple[PluginStrengths, ...] = ()
    steered: tuple[str, ...] = ()

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise level before each step, 1 → 0."""
        return tuple(planned.step.sigma for planned in self.steps)

    def strengths(self, reference: int, stage: int | None = None) -> tuple[float, ...]:
        """Return a reference's strength at each step, 0 where another stage is in force."""
        rows = [planned.rows[reference] for planned in self.steps]
        return tuple(row.strength if stage in (None, row.stage) else 0.0 for row in rows)

    def cells(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return the heads of the table and its lines.

        Step, noise level, then each reference; beside it the share of the picture in which it may
        act, and its tokens, where they change over the steps. Where not, :meth:`notes` has them.
        Last come run plugins that have a strength.
        """
        columns = [
            ("step", [f"{planned.step.index + 1}/{planned.step.total}" for planned in self.steps]),
            ("sigma", [f"{sigma:.3f}" for sigma in self.sigmas]),
        ]
        for number, rows in enumerate(self._columns(), 1):
            columns += [
                (f"reference {number}", [f"{it.method} {it.strength:.2f} {it.band}" for it in rows])
            ]
            columns += [
                (f"{name} {number}", values)
                for name, values in _told(rows).items()
                if len(set(values)) > 1
            ]
        columns += [
            (it.name, [f"{strength:.2f} {band(strength)}" for strength in it.strengths])
            for it in self.plugins
        ]
        heads = tuple(head for head, _ in columns)
        return heads, list(zip(*[cells for _, cells in columns], strict=True))

    def notes(self) -> list[str]:
        """Return what the table does not show, in lines.

        For each reference, its area and tokens where they are the same at every step; then what the
        methods remarked.
        """
        notes = []
        for number, rows in enumerate(self._columns(), 1):
            same = [
                f"{name} {values[0]}"
                for name, values in _told(rows).items()
                if len(set(values)) == 1
            ]
            if same:
                notes.append(f"reference {number}, at every step: {', '.join(same)}")
        if self.steered:
            notes.append(f"strengths after the first step may be set by {listed(self.steered)}")
        return [*notes, *self.remarks]

    def _columns(self) -> list[tuple[Row, ...]]:
        """The rows of each reference."""
        return list(zip(*[planned.rows for planned in self.steps], strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Return the timetable as what JSON can hold; indices count from 0."""
        return {
            "steps": [
                {
                    **attrs.asdict(planned.step),
                    "progress": planned.step.progress,
                    "rows": [{**attrs.asdict(row), "band": row.band} for row in planned.rows],
                }
                for planned in self.steps
            ],
            "remarks": list(self.remarks),
            **({"plugins": [attrs.asdict(it) for it in self.plugins]} if self.plugins else {}),
            **({"steered": list(self.steered)} if self.steered else {}),
        }

    def to_json(self) -> str:
        """Return the timetable as JSON: one entry a step, with one row a reference."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def save_plot(self, path: str | Path) -> Path:
        """Draw the strength of every reference over the steps, coloured by method.

        Args:
            path: Ends in .png.

        Returns:
            The path written.

        Raises:
            InputError: matplotlib is not installed, or the file cannot be written.
        """
        return write_plot(self.figure, path)

    def figure(self) -> Any:
        """Return what :meth:`save_plot` writes, a matplotlib figure.

        Raises:
            InputError: matplotlib is not installed.
        """
        from refhooks._core.planning.timetable_plots import draw_timetable  # noqa: PLC0415  an extra
        from refhooks._core.plugins.loading import load_registry  # noqa: PLC0415

        plugins = [(it.name, it.strengths) for it in self.plugins]
        return draw_timetable(self.steps, load_registry().methods, plugins)

    def _repr_html_(self) -> str:
        """What a notebook shows: the lanes, the table, and the notes under it."""
        from refhooks._core.plugins.loading import load_registry  # noqa: PLC0415

        heads, body = self.cells()
        drawn = lanes_html(lanes_of(self.steps, self.plugins), load_registry().methods)
        notes = "".join(f"<p>{html_text(it)}</p>" for it in self.notes())
        return drawn + html_table(heads, body) + notes

    def __str__(self) -> str:
        """Return a plain-text table, one line a step, and the notes under it."""
        heads, body = self.cells()
        widths = [max(map(len, column)) for column in zip(heads, *body, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in [heads, *body]
        ]
        return "\n".join([*lines, *self.notes()])


def _told(rows: tuple[Row, ...]) -> dict[str, list[str]]:
    """What is known of a reference at every step, beside its method and strength."""
    areas = [_share(row.area) for row in rows if row.area is not None]
    tokens = ["reused" if row.reused else str(row.tokens) for row in rows if row.tokens is not None]
    told = {"area": areas, "tokens": tokens}
    return {name: values for name, values in told.items() if len(values) == len(rows)}


def _share(area: float) -> str:
    """A small area is not none."""
    return f"{area:.2f}" if area == 0.0 or area >= 0.01 else f"{area:.1g}"
