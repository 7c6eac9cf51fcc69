"""How a picture comes to a size in which a model can work, where it is not resized to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import attrs
import numpy as np
from PIL import Image

from refhooks._base.size import Size

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LEAST", "MOST", "Canvas", "Cut", "Filled", "remark_on"]

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


@attrs.frozen
class Cut:
    """The middle of a picture: it is shrunk to an area where it has more, then cut to a size.

    Attributes:
        size: What is left of it.
        area: Most of the pixels that it is cut from.
        output: Whether the output is what is left of it as well, and not the picture alone.
    """

    size: Size
    area: int
    output: bool = False

    def lay(self, picture: Image.Image) -> Image.Image:
        """Return what is left of a picture."""
        shrunk = self.shrunk(Size(picture.height, picture.width))
        if picture.size != (shrunk.width, shrunk.height):
            picture = picture.resize((shrunk.width, shrunk.height), Image.Resampling.LANCZOS)
        top, left = self._corner(shrunk)
        box = (left, top, left + self.size.width, top + self.size.height)
        return picture if picture.size == box[2:] and not (left or top) else picture.crop(box)

    def spread(self, cover: Tensor) -> Tensor:
        """Return a cover ``[height,width]`` of a picture as one of what is left of it."""
        from refhooks._base.coverage import resized  # noqa: PLC0415  pictures need no torch

        shrunk = self.shrunk(Size(*cover.shape))
        top, left = self._corner(shrunk)
        whole = resized(cover, shrunk.height, shrunk.width)
        return whole[top : top + self.size.height, left : left + self.size.width]

    def shrunk(self, picture: Size) -> Size:
        """Return the size to which a picture is shrunk before it is cut."""
        scale = min(1.0, math.sqrt(self.area / (picture.height * picture.width)))
        return Size(int(picture.height * scale), int(picture.width * scale))

    def _corner(self, shrunk: Size) -> tuple[int, int]:
        """The first row and column that are left."""
        return (shrunk.height - self.size.height) // 2, (shrunk.width - self.size.width) // 2


def cut_size(picture: Size | Image.Image, area: int, multiple: int) -> Size:
    """Return the size that is left of a picture which a :class:`Cut` cuts to multiples.

    Args:
        picture: Its size, in pixels.
        area: Most of the pixels that it is cut from.
        multiple: Pixels along the side of a token.

    Returns:
        A side is 0 where the picture, shrunk to the area, is thinner than a token.
    """
    shrunk = Cut(Size(0, 0), area).shrunk(Size(picture.height, picture.width))
    return Size(shrunk.height // multiple * multiple, shrunk.width // multiple * multiple)


@attrs.frozen
class Filled(Cut):
    """A whole picture amid its size: it is shrunk, then filled up with its reflection.

    Attributes:
        size: That of the result.
        area: Not used; the picture is not cut.
        output: As for :class:`Cut`.
        inner: The size to which the picture is shrunk; nowhere larger than ``size``.
        mirror: ``reflect`` or ``symmetric``, as ``numpy.pad`` knows them.
    """

    inner: Size = attrs.field(kw_only=True)
    mirror: Literal["reflect", "symmetric"] = attrs.field(default="reflect", kw_only=True)

    def lay(self, picture: Image.Image) -> Image.Image:
        """Return the picture amid its reflection."""
        if picture.size != (self.inner.width, self.inner.height):
            shape = (self.inner.width, self.inner.height)
            picture = picture.resize(shape, Image.Resampling.LANCZOS)
        if self.inner == self.size:
            return picture
        pixels = np.asarray(picture)
        margins = [*self._margins(), (0, 0)][: pixels.ndim]
        return Image.fromarray(np.pad(pixels, margins, mode=self.mirror))

    def spread(self, cover: Tensor) -> Tensor:
        """Return a cover ``[height,width]`` of the picture likewise, ``[rows,columns]``."""
        import torch  # noqa: PLC0415  importing pictures needs no torch

        from refhooks._base.coverage import resized  # noqa: PLC0415

        shrunk = resized(cover, self.inner.height, self.inner.width)
        return torch.from_numpy(np.pad(shrunk.numpy(), self._margins(), mode=self.mirror))

    def shrunk(self, picture: Size) -> Size:  # noqa: ARG002
        """Return the size to which the picture is shrunk."""
        return self.inner

    def _margins(self) -> list[tuple[int, int]]:
        sides = (
            (self.size.height, self.inner.height),
            (self.size.width, self.inner.width),
        )
        return [((whole - own) // 2, whole - own - (whole - own) // 2) for whole, own in sides]


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
