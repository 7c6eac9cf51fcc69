"""Cells by their names."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import attrs

import refhooks as rh
from refhooks.errors import UnknownNameError
from refhooks.score import Cell, read_cells, strength_cells

FILE = Path(__file__).parents[1] / "claims-cells.toml"
METHODS = ("default", "inject", "concat", "cross_attn")
GRID = (0.25, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0)  # the strengths of `refhooks score` that do something
NAME = re.compile(
    rf"(?P<method>{'|'.join(METHODS)}) (?P<strength>[\d.]+)"
    r"(?: denoise (?P<denoise>[\d.]+))?(?: steps (?P<steps>\d+))?(?: seed (?P<seed>\d+))?"
)


@cache
def _known() -> dict[str, Cell]:
    cells = (*strength_cells(METHODS), *read_cells(FILE))
    return {cell.name: cell for cell in cells}


def cell(name: str) -> Cell:
    """Return the cell of a name, ``METHOD STRENGTH [denoise D] [steps N] [seed S]`` or a known one.

    Raises:
        UnknownNameError: The name is neither.
    """
    found = NAME.fullmatch(name)
    if found is None:
        if name not in _known():
            raise UnknownNameError(
                f"there is no cell {name!r}: it is neither 'METHOD STRENGTH' with, if they differ,"
                f" 'denoise D', 'steps N' and 'seed S', nor one of {FILE.name}, nor one of"
                " `refhooks score`"
            )
        return _known()[name]
    strength, denoise, steps, seed = found.group("strength", "denoise", "steps", "seed")
    return Cell(
        name,
        rh.Stage(found["method"], float(strength)),
        denoise=float(denoise or 1),
        steps=int(steps) if steps else None,
        seed=int(seed or 0),
        method=found["method"],
        strength=float(strength),
    )


def on(name: str, kinds: tuple[str, ...]) -> Cell:
    """Return the cell of a name, to be run on some kinds only."""
    return attrs.evolve(cell(name), kinds=kinds)


def grid() -> tuple[str, ...]:
    """Return the names of the cells among which the best is looked for."""
    return tuple(f"{method} {strength:g}" for method in METHODS for strength in GRID)
