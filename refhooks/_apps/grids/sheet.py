"""The sheet of a grid: its pictures with what was varied beside and above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks._apps.grids.result import GridResult
from refhooks._base.contact_sheets import make_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from refhooks._apps.grids.fields import Axis
    from refhooks._apps.grids.grid import Grid

__all__ = ["draw_grid", "named"]


def draw_grid(
    grid: Grid,
    pictures: Sequence[Sequence[Image.Image]],
    *,
    title: str,
    notes: str,
    corner: Image.Image,
    tile: int | None,
) -> GridResult:
    """Return a grid with its sheet.

    Args:
        grid: What was varied.
        pictures: Of each line, one a column.
        title: Above all of them.
        notes: Smaller, under the title.
        corner: Beside the title.
        tile: Pixels of a picture's side; ``None``: as many as fit.
    """
    several = len(grid.seeds) > 1
    rows = tuple(
        "\n".join([*named(grid.rows, value), *([f"seed {seed}"] if several else [])])
        for value, seed in grid.lines
    )
    columns = tuple("".join(named(grid.columns, value)) for value in grid.heads)
    sheet = make_table(pictures, rows, columns, title=title, notes=notes, corner=corner, tile=tile)
    return GridResult(tuple(tuple(row) for row in pictures), rows, columns, sheet)


def named(axis: Axis | None, value: str | None) -> list[str]:
    """A method's name speaks for itself; a number does not."""
    if axis is None or value is None:
        return []
    return [value if axis.field.text == "method" else f"{axis.field.text} {value}"]
