"""The picture being edited, as a run uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from refhooks._base.canvas import Canvas, Cut
    from refhooks._base.size import Size
    from refhooks._core.contract.protocols import Covering

__all__ = ["Source"]


@attrs.define(eq=False)
class Source:
    """The picture being edited, resized to the output's size; its shape is not kept.

    Where the output has the picture's own size (``resolution="native"``), it is not resized: it
    lies on a canvas of the size in which the model works, and ``size`` is the canvas's.

    It is encoded when it is first asked for, once a run.

    Attributes:
        frame: Its own size, on which masks are laid.
        size: Of the output.
        grid: Rows and columns of the output's tokens.
        canvas: What it lies on in its own size, or how it is cut; ``None``: it is resized.
        kept: What :meth:`put_back` returned last, ``[B,3 or 4,height,width]``, and how much of each
            of its pixels is the source's, 0–1, as a cover; ``None``: nothing was put back.
    """

    frame: Size
    size: Size
    grid: tuple[int, int]
    _encode: Callable[[], Tensor]
    _pixels: Callable[[], Tensor]
    canvas: Canvas | Cut | None = None
    kept: tuple[Tensor, Tensor] | None = attrs.field(default=None, init=False)

    @property
    def latents(self) -> Tensor:
        """The clean latents, ``[1,T,C]``; ``[B,T,C]`` in a batch of jobs."""
        return self._encode()

    @property
    def pixels(self) -> Tensor:
        """The pixels, ``[1 or B,3 or 4,height,width]``, float32 on the CPU, 0–1, in sRGB."""
        return self._pixels()

    def put_back(self, images: Tensor, cover: Tensor) -> Tensor:
        """Return pictures with the source's pixels where they are not covered.

        ``cover·images + (1 − cover)·pixels``. What is put back comes out of the run in the source's
        own colours, with its profile, also where sRGB has no such colour.

        Args:
            images: ``[B,3 or 4,height,width]``, 0–1, as ``refhooks_image`` is given them.
            cover: ``[height,width]``, 0–1, as :meth:`cover` returns it, or ``[B,height,width]``.
        """
        before = 0.0 if self.kept is None else self.kept[1]
        weight = cover.unsqueeze(-3).to(images)
        mixed = self.pixels.to(images).expand_as(images).lerp(images, weight)
        self.kept = (mixed, 1.0 - cover * (1.0 - before))
        return mixed

    def cover(self, mask: Covering) -> Tensor:
        """Return what a mask covers of each pixel of the output.

        Returns:
            ``[height,width]``, float32 on the CPU, 0–1.

        Raises:
            InputError: The mask does not fit the picture.
        """
        from refhooks._base.coverage import resized  # noqa: PLC0415  imports torch, a second

        cover = mask.cover(self.frame)
        if self.canvas is not None:
            cover = self.canvas.spread(cover)
        return resized(cover, self.size.height, self.size.width)

    def tokens(self, cover: Tensor) -> Tensor:
        """Return the largest cover within each token, ``[1,T,1]``, of a cover of the pixels."""
        from refhooks._base.coverage import touched  # noqa: PLC0415  imports torch, a second

        return touched(cover, *self.grid).reshape(1, -1, 1)
