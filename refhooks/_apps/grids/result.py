"""A grid that is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._apps.editing.result import save_picture
from refhooks._base.notebooks import html_pictures
from refhooks._base.outputs import check_output

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

__all__ = ["GridResult"]


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

    def show(self) -> None:
        """Open the sheet in the system's own viewer; a notebook shows a grid by itself."""
        self.sheet.show()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return html_pictures([self.sheet], [f"{len(self.rows)} rows, {len(self.columns)} columns"])
