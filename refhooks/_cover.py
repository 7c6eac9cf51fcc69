"""Covers: what masks give, as numbers on pixels and on tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from refhooks._pictures import fit_picture
from refhooks.errors import HookReturnError

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._family import Size
    from refhooks._mask import MaskShape

BLANK = 128
"""What stands in a picture's hidden part, 0–255: mid-grey, 0 for the VAE."""


def shape_cover(shape: MaskShape, size: Size) -> Tensor:
    """Return what a shape covers, checked, ``[height,width]``, float32.

    Raises:
        HookReturnError: The shape gives something else.
    """
    label = f"mask shape {shape.name!r}: cover(size)"
    try:
        cover = shape.cover(size)
    except BaseException as error:
        error.add_note(f"raised by mask shape {shape.name!r} for a picture of {size}")
        raise
    if not isinstance(cover, torch.Tensor):
        raise HookReturnError(f"{label} must return a tensor, got {type(cover).__name__}")
    if tuple(cover.shape) != (size.height, size.width):
        raise HookReturnError(
            f"{label} must return [{size.height},{size.width}], got {list(cover.shape)}"
        )
    cover = cover.detach().to("cpu", torch.float32)
    if not bool(((cover >= 0) & (cover <= 1)).all()):
        raise HookReturnError(f"{label} must return values from 0 to 1")
    return cover


def feathered(cover: Tensor, pixels: float) -> Tensor:
    """Let a cover ``[height,width]`` fall to 0 over so many pixels outside of it.

    What is covered stays covered to the bit, and beyond the band the cover is exactly 0: it is
    widened by half of the band, then averaged over the band.
    """
    reach = round(pixels / 2)
    if reach == 0:
        return cover
    wide = cover[None, None]
    side = 2 * reach + 1
    for kernel, margin in (((side, 1), (reach, 0)), ((1, side), (0, reach))):
        wide = functional.max_pool2d(wide, kernel, stride=1, padding=margin)
    soft = wide
    for kernel, pad in (((side, 1), (0, 0, reach, reach)), ((1, side), (reach, reach, 0, 0))):
        soft = functional.avg_pool2d(functional.pad(soft, pad, "replicate"), kernel, stride=1)
    return torch.maximum(soft[0, 0].clamp(0.0, 1.0), cover)


def resized(cover: Tensor, rows: int, columns: int) -> Tensor:
    """Return the mean cover of each cell of a grid ``[rows,columns]`` laid over the picture."""
    if tuple(cover.shape) == (rows, columns):
        return cover
    return functional.adaptive_avg_pool2d(cover[None, None], (rows, columns))[0, 0].clamp(0.0, 1.0)


def touched(cover: Tensor, rows: int, columns: int) -> Tensor:
    """Return the largest cover in each cell of a grid ``[rows,columns]``."""
    return functional.adaptive_max_pool2d(cover[None, None], (rows, columns))[0, 0]


def fitted(cover: Tensor, size: Size, fit: str) -> Tensor:
    """Fit a cover to a size in pixels, as the picture that it lies on is fitted."""
    grey = Image.fromarray((cover.numpy() * 255).round().astype(np.uint8)).convert("RGB")
    values = np.asarray(fit_picture(grey, size, fit))[..., 0]
    return torch.from_numpy(values / np.float32(255))


def blanked(picture: Image.Image, cover: Tensor) -> Image.Image:
    """Return a picture whose part with no cover at all, ``[height,width]``, is grey."""
    pixels = np.array(picture)
    pixels[cover.numpy() <= 0.0] = BLANK
    return Image.fromarray(pixels)
