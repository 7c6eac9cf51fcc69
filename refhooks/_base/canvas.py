"""A size in which a model can work, for a picture of a size in which it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._base.size import Size

__all__ = ["LEAST", "MOST", "Canvas", "remark_on", "remark_on_cut"]

LEAST, MOST = 0.25, 2.0  # times the area that a model works at: beyond them it does worse


@attrs.frozen
class Canvas:
    """What a picture lies on in its own size, at the top left; beyond it, its edges are repeated.

    Nothing is resized, so every pixel, and everything that a mask covers, stays where it is.

    Attributes:
        size: At least as high and wide as the picture.
        output: Whether the output lies on it as well, and not the picture alone.
    """

    size: Size
    output: bool = False

    def lay(self, picture: Image.Image) -> Image.Image:
        """Return the picture with its last row and column repeated up to the size."""
        shape = (self.size.width, self.size.height)
        if picture.size == shape:
            return picture
        below, beside = shape[1] - picture.height, shape[0] - picture.width
        pixels = np.asarray(picture)
        margins = [(0, below), (0, beside), (0, 0)][: pixels.ndim]
        return Image.fromarray(np.pad(pixels, margins, mode="edge"))

    def spread(self, cover: Tensor) -> Tensor:
        """Return a cover ``[height,width]`` of the picture as one of the canvas, likewise."""
        from torch.nn import functional  # noqa: PLC0415  importing pictures needs no torch

        below, beside = self.size.height - cover.shape[0], self.size.width - cover.shape[1]
        return functional.pad(cover[None, None], (0, beside, 0, below), mode="replicate")[0, 0]


def remark_on(size: Size, area: int) -> str | None:
    """Return what to say of a native size that is far from the area at which a model works."""
    share = size.height * size.width / area
    if LEAST <= share <= MOST:
        return None
    expected = "repeated parts, time and memory" if share > MOST else "little detail"
    return (
        f"resolution='native' makes {size}, which is {share:.2g} times the {area} pixels that this"
        f" model works at (from {LEAST:g} to {MOST:g} times is near enough): expect {expected};"
        " resize the picture before, or give a resolution in pixels"
    )


def remark_on_cut(name: str, what: str, picture: Size, size: Size) -> str | None:
    """Return what to say where a picture is cut at its centre and ``what`` is laid on all of it.

    Args:
        name: Of the family.
        what: Such as ``the edit mask``.
        picture: Its own size.
        size: To which it is cut, once it is shrunk to cover that.
    """
    scale = max(size.height / picture.height, size.width / picture.width)
    beside = max(picture.height * scale - size.height, picture.width * scale - size.width) / 2
    if beside < 1.0:
        return None
    return (
        f"{name} cuts a picture of {picture} to {size} at its centre, and {what} is laid on it as"
        f" if it were resized: up to {beside:.0f} pixels beside; crop the picture to"
        f" {size.width}:{size.height} before, or use resolution='native'"
    )
