"""Grids: one edit with two of its fields varied, a picture a cell, each kept under a key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.grids.fields import with_values
from refhooks._apps.grids.fingerprint import key
from refhooks._base.claims import Claims
from refhooks._base.damage import DAMAGED
from refhooks._base.pictures import load_whole, open_file
from refhooks.errors import InputError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from PIL import Image

    from refhooks._apps.editing.result import EditResult
    from refhooks._apps.grids.fields import Axis, Field
    from refhooks._core.planning.request import Callback
    from refhooks._core.plugins.registry import Registry

MAX_CELLS = 2000


@attrs.frozen
class Grid:
    """What is varied.

    Attributes:
        rows: ``None``: one row.
        columns: ``None``: one column.
        seeds: Each makes a row of every row.
    """

    rows: Axis | None
    columns: Axis | None
    seeds: tuple[int, ...]

    @property
    def lines(self) -> tuple[tuple[str | None, int], ...]:
        """The value and the seed of each line of the sheet."""
        values = (None,) if self.rows is None else self.rows.values
        return tuple((value, seed) for value in values for seed in self.seeds)

    @property
    def heads(self) -> tuple[str | None, ...]:
        """The value of each column."""
        return (None,) if self.columns is None else self.columns.values

    def check(self) -> None:
        """Refuse what is no grid.

        Raises:
            InputError: Both axes are one field, a seed is varied twice, or there are too many.
        """
        axes = [axis for axis in (self.rows, self.columns) if axis is not None]
        fields = [attrs.evolve(axis.field, text="") for axis in axes]
        if len(set(fields)) < len(fields):
            raise InputError(f"rows and columns are both {axes[0].field.text}; vary two fields")
        varied = any(field.name == "seed" and not field.method for field in fields)
        if varied and len(self.seeds) > 1:
            raise InputError("the seed is a field of the grid; leave --seeds out")
        count = len(self.lines) * len(self.heads)
        if count > MAX_CELLS:
            raise InputError(f"the grid would have {count} cells; at most {MAX_CELLS}")


@attrs.frozen
class Cell:
    """One picture of a grid.

    Attributes:
        row, column: Its values; ``None`` where nothing is varied.
        seed: Unless the seed is varied.
        arguments: Of ``Editor.edit``.
    """

    row: str | None
    column: str | None
    seed: int
    arguments: dict[str, Any]

    def name(self, model: str) -> str:
        """Return the name of its file: to be read by people, and the key that makes it its own."""
        told = "_".join(text for text in (self.row, self.column, f"seed{self.seed}") if text)
        short = re.sub(r"[^\w.+-]+", "-", told)[:60]
        return f"{short}_{key(model, self.arguments)}.png"


def make_cells(
    grid: Grid, arguments: dict[str, Any], native: str, registry: Registry
) -> list[list[Cell]]:
    """Return the cells of each line.

    Args:
        grid: What is varied.
        arguments: Of ``Editor.edit``, for what is not.
        native: The method of a source that has no strategy.
        registry: What methods are named from.

    Raises:
        InputError: A value is none of its field's.
        UnknownNameError: A method that no live plugin registers.
    """
    grid.check()

    def cell(row: str | None, column: str | None, seed: int) -> Cell:
        values: list[tuple[Field, str]] = []
        if grid.rows is not None and row is not None:
            values.append((grid.rows.field, row))
        if grid.columns is not None and column is not None:
            values.append((grid.columns.field, column))
        cell_arguments = with_values({**arguments, "seed": seed}, values, native, registry)
        return Cell(row, column, cell_arguments["seed"], cell_arguments)

    return [[cell(row, column, seed) for column in grid.heads] for row, seed in grid.lines]


def fill(
    edit: Callable[..., EditResult],
    cells: Sequence[Cell],
    model: str,
    folder: Path,
    callback: Callback | None,
    waits: Callable[[int], object] | None = None,
) -> list[Image.Image]:
    """Return the picture of each cell; those that are in the folder are not made again.

    Several processes may fill a folder at once: each cell is made by one of them.

    Args:
        edit: ``Editor.edit``, which makes the others.
        cells: In the order in which they are made.
        model: What :func:`fingerprint` says of the editor.
        folder: Where each picture is kept as soon as it is made.
        callback: Of the edits.
        waits: Called once, with their number, when other processes are making all that is left.

    Raises:
        RefhooksError: As for ``Editor.edit``; what is made until then is kept.
    """
    names = [cell.name(model) for cell in cells]
    pictures: dict[int, Image.Image] = {}

    def is_there(number: int) -> bool:
        picture = kept_picture(folder / names[number])
        if picture is not None:
            pictures[number] = picture
        return picture is not None

    def make(number: int) -> None:
        result = edit(**cells[number].arguments, callback=callback)
        if result.interrupted:
            raise RefhooksError("the grid was interrupted; the cells made until then are kept")
        result.save(folder / names[number])
        pictures[number] = load_whole(result.image)

    Claims(folder).divide(names, is_there, make, waits=waits)
    return [pictures[number] for number in range(len(cells))]


def kept_picture(place: Path) -> Image.Image | None:
    """Return a cell's picture; ``None`` if it is not there, or is damaged."""
    try:
        with open_file(place, ("PNG",)) as picture:
            return load_whole(picture).convert("RGB")
    except DAMAGED:  # an InputError is one of them
        return None
