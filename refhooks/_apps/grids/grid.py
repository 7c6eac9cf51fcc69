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
        batch: How many of the seeds run in one pass.
    """

    rows: Axis | None
    columns: Axis | None
    seeds: tuple[int, ...]
    batch: int = 1

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
            InputError: Both axes are one field, a seed is varied twice, there are too many, or one
                seed alone shall run in a batch.
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
        if self.batch > 1 and len(self.seeds) < 2:
            raise InputError(
                f"batch {self.batch} runs a cell's seeds in one pass, and seeds names only"
                f" {self.seeds[0]}; name several, or leave batch out"
            )


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

    def name(self, model: str, batch: Sequence[int] = ()) -> str:
        """Return the name of its file: to be read by people, and the key that makes it its own.

        Args:
            model: What :func:`fingerprint` says of the editor.
            batch: Seeds of the pass that it is made in; empty: it runs alone.
        """
        told = "_".join(text for text in (self.row, self.column, f"seed{self.seed}") if text)
        short = re.sub(r"[^\w.+-]+", "-", told)[:60]
        beside = {"batch": tuple(batch)} if batch else {}  # it rounds otherwise than alone
        return f"{short}_{key(model, {**self.arguments, **beside})}.png"


@attrs.frozen
class Pass:
    """Cells that run in one pass through the steps: they differ in the seed alone.

    Attributes:
        cells: By their numbers in the grid.
    """

    cells: dict[int, Cell]

    @property
    def arguments(self) -> dict[str, Any]:
        """What ``Editor.edit`` takes."""
        first = next(iter(self.cells.values()))
        return {**first.arguments, "seed": self.seeds} if self.seeds else first.arguments

    @property
    def seeds(self) -> list[int]:
        """The seeds of a batch; empty where a cell runs alone."""
        return [cell.seed for cell in self.cells.values()] if len(self.cells) > 1 else []

    def names(self, model: str) -> dict[int, str]:
        """Return the name of each cell's file, by its number; see :meth:`Cell.name`."""
        return {number: cell.name(model, self.seeds) for number, cell in self.cells.items()}


def passes(cells: Sequence[Cell], batch: int) -> list[Pass]:
    """Return in which passes cells are made, in the order of their first ones.

    Args:
        cells: Of a grid, in its order.
        batch: How many of one row and column are in a pass, at most.
    """
    alike: dict[tuple[str | None, str | None], list[int]] = {}
    for number, cell in enumerate(cells):
        alike.setdefault((cell.row, cell.column), []).append(number)
    groups = [them[at : at + batch] for them in alike.values() for at in range(0, len(them), batch)]
    return [Pass({number: cells[number] for number in them}) for them in sorted(groups)]


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
    groups: Sequence[Pass],
    model: str,
    folder: Path | None,
    callback: Callback | None,
    waits: Callable[[int], object] | None = None,
) -> list[Image.Image]:
    """Return the picture of each cell; those that are in the folder are not made again.

    Several processes may fill a folder at once: each pass is made by one of them. A pass of which
    a cell is missing runs as a whole, since it rounds otherwise with fewer.

    Args:
        edit: ``Editor.edit``, which makes the others.
        groups: In the order in which they are made.
        model: What :func:`fingerprint` says of the editor.
        folder: Where each picture is kept as soon as it is made; ``None``: in memory alone.
        callback: Of the edits.
        waits: Called once, with their number, when other processes are making all that is left.

    Raises:
        RefhooksError: As for ``Editor.edit``; what is made until then is kept.
    """
    names = [{} if folder is None else group.names(model) for group in groups]
    filling = _Filling(groups, names, folder)

    def waiting(_passes: int) -> None:
        if waits is not None:
            waits(sum(len(group.cells) for group in groups) - len(filling.pictures))

    def make(place: int) -> None:
        filling.keep(place, edit(**groups[place].arguments, callback=callback))

    claimed = [" ".join(it.values()) for it in names]
    Claims(folder).divide(claimed, filling.is_there, make, waits=waiting)
    return [filling.pictures[number] for number in sorted(filling.pictures)]


@attrs.define
class _Filling:
    """The pictures of a grid that are there by now, by the numbers of their cells."""

    groups: Sequence[Pass]
    names: Sequence[dict[int, str]]
    folder: Path | None
    pictures: dict[int, Image.Image] = attrs.field(factory=dict)

    def is_there(self, place: int) -> bool:
        """Look for the cells of a pass; return whether none is missing."""
        if self.folder is not None:
            found = {it: kept_picture(self.folder / name) for it, name in self.names[place].items()}
            self.pictures.update({it: there for it, there in found.items() if there is not None})
        return self.groups[place].cells.keys() <= self.pictures.keys()

    def keep(self, place: int, result: EditResult) -> None:
        """Take what is missing of a pass from its result.

        Raises:
            RefhooksError: It was interrupted, or a cell cannot be written.
        """
        if result.interrupted:
            kept = "; the cells made until then are kept"
            lost = ", and no folder was given to keep its cells"
            raise RefhooksError(f"the grid was interrupted{lost if self.folder is None else kept}")
        for at, number in enumerate(self.groups[place].cells):
            if number in self.pictures:
                continue
            if self.folder is not None:
                _alone(result, at).save(self.folder / self.names[place][number])
            self.pictures[number] = load_whole(result.images[at])


def _alone(result: EditResult, number: int) -> EditResult:
    """One picture of an edit, with its recipe."""
    return attrs.evolve(
        result,
        images=result.images[number : number + 1],
        seeds=result.seeds[number : number + 1],
        recipes=result.recipes[number : number + 1],
    )


def kept_picture(place: Path) -> Image.Image | None:
    """Return a cell's picture; ``None`` if it is not there, or is damaged."""
    try:
        with open_file(place, ("PNG",)) as picture:
            return load_whole(picture).convert("RGB")
    except DAMAGED:  # an InputError is one of them
        return None
