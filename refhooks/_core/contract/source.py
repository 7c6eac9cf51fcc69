"""The picture being edited, as a run uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from refhooks._base.canvas import Canvas
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
        canvas: What it lies on in its own size; ``None``: it is resized.
    """

    frame: Size
    size: Size
    grid: tuple[int, int]
    _encode: Callable[[], Tensor]
    _pixels: Callable[[], Tensor]
    canvas: Canvas | None = None

    @property
    def latents(self) -> Tensor:
        """The clean latents, ``[1,T,C]``; ``[B,T,C]`` in a batch of jobs."""
        return self._encode()

    @property
    def pixels(self) -> Tensor:
        """The pixels, ``[1 or B,3 or 4,height,width]``, float32 on the CPU, 0–1."""
        return self._pixels()

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
