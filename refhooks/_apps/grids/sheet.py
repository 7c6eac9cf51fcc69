"""A grid that is made: its pictures, and the sheet that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._apps.editing.result import save_picture
from refhooks._base.contact_sheets import make_table
from refhooks._base.outputs import check_output

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import Image

    from refhooks._apps.grids.fields import Axis
    from refhooks._apps.grids.grid import Grid

__all__ = ["GridResult", "draw_grid", "named"]


@attrs.frozen(eq=False)
class GridResult:
    """The pictures of ``editor.grid(...)``.

    Attributes:
        images: Of each row, one a column.
        rows: What stands beside each row; a text may be empty.
        columns: What stands above each column.
        sheet: All of them in one picture, with these labels.
    """

    images: tuple[tuple[Image.Image, ...], ...] = attrs.field(repr=False)
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    sheet: Image.Image = attrs.field(repr=False)

    def save(self, path: str | Path) -> Path:
        """Write the sheet; a file that is there is replaced once the new one is complete.

        Args:
            path: Ends in .png, .jpg, .jpeg or .webp.

        Returns:
            The path written.

        Raises:
            InputError: Another ending, or the file cannot be written.
        """
        target = check_output(path)
        save_picture(self.sheet, target)
        return target


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
