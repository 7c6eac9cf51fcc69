"""Where references act, where a picture may change, and where it lies: masks, edit mask, align."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks import hookimpl
from refhooks_masking._align import Align
from refhooks_masking._edit_mask import EditMask
from refhooks_masking._shapes import Alpha, Array, Box, Picture, Polygon

if TYPE_CHECKING:
    from refhooks import MaskShape, RunPlugin

__all__ = ["Align", "Alpha", "Array", "Box", "EditMask", "Picture", "Polygon"]


@hookimpl
def refhooks_masks() -> list[type[MaskShape]]:
    """Register the mask shapes."""
    return [Picture, Box, Polygon, Alpha, Array]


@hookimpl
def refhooks_plugins() -> list[type[RunPlugin]]:
    """Register the edit mask, and what puts a picture back in its place."""
    return [EditMask, Align]
