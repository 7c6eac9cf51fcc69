"""Edits that are made in several ways, kept a line each, and how far a way is from another."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import attrs
import click
import numpy as np

import refhooks as rh
from refhooks import score as measures
from refhooks_toy._held_out import faster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    Both = Sequence[tuple[dict[str, Any], dict[str, Any]]]  # rows of one way and of another


@attrs.frozen
class Kept:
    """A file with a line of JSON an edit; what is there is not made again.

    Attributes:
        place: The file.
        done: The cells that are there.
        until: When no more is begun, of ``time.perf_counter``.
    """

    place: Path
    done: frozenset[tuple[Any, ...]]
    until: float

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.perf_counter() > self.until

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows, each with its ``cell``."""
        with self.place.open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in rows)


@contextlib.contextmanager
def editing(place: Path, limit: float) -> Iterator[tuple[rh.Editor, Kept]]:
    """Yield an editor of the embedded model, in float32, and what is kept of its edits.

    Args:
        place: Where that is.
        limit: Seconds until no more is begun.
    """
    place.parent.mkdir(exist_ok=True)
    done = frozenset(by_cell(place)) if place.exists() else frozenset()
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    with faster(editor.pipe, half=False):
        yield editor, Kept(place, done, time.perf_counter() + limit)


def by_cell(place: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the rows that are kept, by their cells."""
    rows = [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()]
    return {tuple(row["cell"]): row for row in rows}


def compared(both: Both, names: Sequence[str], base: str) -> dict[str, Any]:
    """Return the means of measures that all rows have, and the paired difference, with 95 %.

    Args:
        both: Rows.
        names: Measures; one that no row has is left out.
        base: What the other way is called.
    """
    found = {}
    for name in names:
        values = np.array([(own[name], other[name]) for own, other in both if name in own])
        if len(values):
            lead = measures.interval(values[:, 0] - values[:, 1])
            found[name] = {
                "mean": float(values[:, 0].mean()),
                base: float(values[:, 1].mean()),
                "difference": [lead.mean, lead.low, lead.high],
            }
    return found


def acted_on(both: Both, names: Sequence[str]) -> dict[str, Any]:
    """Return how many edits differ in a measure, in all and by kind, which is in the name."""
    kinds: dict[str, list[int]] = {}
    for own, other in both:
        kind = kinds.setdefault(kind_of(own["cell"]), [0, 0])
        kind[0] += any(own[name] != other[name] for name in names if name in own)
        kind[1] += 1
    return {"acted_on": sum(acted for acted, _ in kinds.values()), "by_kind": kinds}


def kind_of(cell: Sequence[Any]) -> str:
    """Return the kind of a cell's edit, by its name."""
    return str(cell[0]).rpartition(" ")[0]


def command(
    run: Callable[[int, float], None],
    table: Callable[[], dict[str, Any]],
    figures: Path,
    names: Sequence[str],
    *,
    scenes: int,
    beside: Callable[[dict[str, Any]], str] = lambda _: "",
) -> click.Command:
    """Return the command of a benchmark: measure, write the figures, print them.

    Args:
        run: Given the scenes of a kind and seconds, edits what has not been edited.
        table: Returns the figures.
        figures: Where they go.
        names: Measures that are printed.
        scenes: Of a kind, by default.
        beside: What else is printed of a cell.
    """

    @click.command(help="Measure, and write the figures.")
    @click.option("--scenes", "each", type=click.IntRange(1), default=scenes, show_default=True,
                  help="Of a kind, at most.")  # fmt: skip
    @click.option("--limit", type=float, default=7200.0, show_default=True, help="Seconds.")
    @click.option("--table", "only", is_flag=True, help="Measure nothing.")
    def main(each: int, limit: float, *, only: bool) -> None:
        if not only:
            run(each, limit)
        found = table()
        figures.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        for name, cell in found["cells"].items():
            told = "  ".join(_told(it, cell[it]) for it in names if it in cell)
            click.echo(f"{name:34} {cell['edits']:4}  {beside(cell)}{told}")

    return main


def _told(name: str, figures: dict[str, Any]) -> str:
    mean, low, high = figures["difference"]
    return f"{name} {figures['mean']:.4f} ({mean:+.4f} [{low:+.4f}, {high:+.4f}])"
