"""Covers: what masks give, as numbers on pixels and on tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from refhooks._base.advice import warn_user
from refhooks._base.pictures import fit_picture
from refhooks._base.size import Size

if TYPE_CHECKING:
    from torch import Tensor

BLANK = 128
"""What stands in a picture's hidden part, 0–255: mid-grey, 0 for the VAE."""


def feathered(cover: Tensor, pixels: float) -> Tensor:
    """Let a cover ``[height,width]`` fall to 0 over so many whole pixels outside of it.

    What is covered stays covered to the bit, and beyond the band the cover is exactly 0: it is
    widened by half of the band, then averaged over the rest of it to each side.
    """
    band = int(pixels + 0.5)
    if band == 0:
        return cover
    soft = cover.double()
    for dim in (0, 1):
        soft = _softened(soft.transpose(0, dim), band // 2, band - band // 2).transpose(0, dim)
    return torch.maximum(soft.clamp(0.0, 1.0).float(), cover)


def _softened(values: Tensor, widen: int, average: int) -> Tensor:
    """Widen, then average over rows; beyond the picture its edges go on."""
    rows, margin = values.shape[0], widen + average
    edges = [values[:1].expand(margin, -1), values, values[-1:].expand(margin, -1)]
    wide = _widened(torch.cat(edges), widen)
    sums = functional.pad(wide.cumsum(0), (0, 0, 1, 0))
    side = 2 * average + 1
    means = (sums[side:] - sums[:-side]) / side
    return means[widen : widen + rows]


def _widened(values: Tensor, reach: int) -> Tensor:
    """The largest value within reach in rows, in about as many passes as ``reach`` has bits."""
    done = 0
    while done < reach:
        step = min(reach - done, 2 * done + 1)
        wider = values.clone()
        torch.maximum(wider[step:], values[:-step], out=wider[step:])
        torch.maximum(wider[:-step], values[step:], out=wider[:-step])
        values, done = wider, done + step
    return values


def resized(cover: Tensor, rows: int, columns: int) -> Tensor:
    """Return the mean cover of each cell of a grid ``[rows,columns]`` laid over the picture.

    A pixel that lies in two cells counts in each by the part that does.
    """
    if tuple(cover.shape) == (rows, columns):
        return cover
    means = cover.double()
    for dim, count in ((0, rows), (1, columns)):
        means = _means(means, count, dim)
    return means.clamp(0.0, 1.0).float()


def _means(values: Tensor, count: int, dim: int) -> Tensor:
    """The mean of each of ``count`` equal parts of one side."""
    values = values.transpose(0, dim)
    side = values.shape[0]
    sums = functional.pad(values.cumsum(0), (0, 0, 1, 0))  # [side+1,…]
    places = torch.arange(count + 1, dtype=torch.float64) * side / count
    below = places.long().clamp(max=side - 1)
    part = (places - below).unsqueeze(1)
    at = sums[below] + part * (sums[below + 1] - sums[below])
    return (at.diff(dim=0) * count / side).transpose(0, dim)


def warn_of_a_speck(label: str, cover: Tensor, size: Size) -> None:
    """Warn of a mask that covers less than a pixel.

    Args:
        label: How the warning names it.
        cover: Of the picture that it lies on, ``[height,width]``, before it is feathered.
        size: At which that picture is used.
    """
    share = float(cover.mean())
    frame = Size(*cover.shape)
    for at, what in ((frame, "the picture that it lies on"), (size, "the run")):
        if 0.0 < share * at.height * at.width < 1.0:
            message = (
                f"{label} covers less than a pixel of {what}, {at}, so it does next to nothing;"
                " numbers are pixels of that picture, or percent, as '50%'"
            )
            warn_user(message)
            return


def touched(cover: Tensor, rows: int, columns: int) -> Tensor:
    """Return the largest cover in each cell of a grid ``[rows,columns]``."""
    return functional.adaptive_max_pool2d(cover[None, None], (rows, columns))[0, 0]


def fitted(cover: Tensor, size: Size, fit: str) -> Tensor:
    """Fit a cover to a size in pixels, as the picture that it lies on is fitted."""
    grey = Image.fromarray(cover.numpy())
    values = np.array(fit_picture(grey, size, fit, Image.Resampling.BOX))
    return torch.from_numpy(values).clamp(0.0, 1.0)


def blanked(picture: Image.Image, cover: Tensor) -> Image.Image:
    """Return a picture whose part with no cover at all, ``[height,width]``, is grey."""
    pixels = np.array(picture)
    pixels[cover.numpy() <= 0.0, :3] = BLANK  # how opaque it is stays
    return Image.fromarray(pixels)
