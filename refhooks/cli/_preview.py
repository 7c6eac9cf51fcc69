"""A look at what the picture would become, while the run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks._apps.editing.result import save_picture
from refhooks._base.advice import warn_user
from refhooks._base.contact_sheets import make_sheet
from refhooks.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._editor import Editor


def write_preview(editor: Editor, x0: Tensor, size: Size, place: Path) -> None:
    """Decode the predicted ``x0`` and write it; only a complete one replaces what is there."""
    pictures = editor.decode(x0, height=size.height, width=size.width)
    try:
        save_picture(_sheet(pictures), place)
    except InputError as error:  # a run must not be lost for a look at it
        warn_user(f"no preview: {error}")


def _sheet(pictures: tuple[Image, ...]) -> Image:
    if len(pictures) == 1:
        return pictures[0]
    return make_sheet(pictures, [f"picture {number + 1}" for number in range(len(pictures))])
