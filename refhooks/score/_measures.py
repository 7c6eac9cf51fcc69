"""What is measured of a result: edit done, kept, edges, copied, and 95 % bootstrap intervals.

Pictures are sRGB, uint8 ``[N,H,W,3]``; regions are True where a picture should change, bool
``[N,H,W]``; what is returned is one value a picture, ``[N]``, NaN where it is not defined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import numpy as np
import torch

from refhooks._base.measures import SIDE, structural_similarity

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Pictures = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

RESAMPLINGS: Final = 2000
EDGE: Final = 0.25  # Sobel strength, of the largest of its picture, from which a pixel is an edge
FAINTEST: Final = 0.2  # the largest counts as at least this, or else noise would be edges
VISIBLE: Final = 5  # of 255: a smaller difference is no change
REACH: Final = 2  # pixels around a change that still count as its region


@attrs.frozen
class Interval:
    """A mean with its 95 % bootstrap interval, over ``count`` scenes."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        """Write it as ``mean [low, high]``."""
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(values: Array, seed: int = 0) -> Interval:
    """Return the mean of per-scene values ``[N]`` and its 95 % interval.

    Percentile bootstrap (Efron and Tibshirani, 1993, "An introduction to the bootstrap", chapter
    13) of 2,000 resamplings; the same values and seed always give the same interval.
    """
    random = np.random.default_rng(seed)
    picks = random.integers(0, len(values), (RESAMPLINGS, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high), len(values))


def rmse(a: Pictures, b: Pictures, where: Mask) -> Array:
    """Return the root mean square error (sRGB, 0–1) in a region; NaN where that is empty."""
    square = ((a.astype(np.float64) - b) / 255) ** 2
    inside = where.sum(axis=(1, 2)) * 3.0
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = np.sqrt((square * where[..., None]).sum(axis=(1, 2, 3)) / inside)
    return result


def edit_done(out: Pictures, source: Pictures, right: Pictures, mask: Mask) -> Array:
    """Return ``max(0, 1 − e(out, right) / e(source, right))`` in the region to change.

    1 is the right answer; 0 is as far from it as the unedited source, or further.
    """
    done: Array = np.maximum(0, 1 - _ratio(rmse(out, right, mask), rmse(source, right, mask)))
    return done


def kept(out: Pictures, without: Pictures, source: Pictures, mask: Mask) -> Array:
    """Return ``1 − e(out, source) / e(without, source)`` outside the region that should change.

    ``without`` is the result without a reference, from the same seed. 1 is all kept, 0 as much as
    without a reference, and less than 0 is less than that. NaN where nothing lies outside.
    """
    share: Array = 1 - _ratio(rmse(out, source, ~mask), rmse(without, source, ~mask))
    return share


def copied(out: Pictures, source: Pictures, right: Pictures, mask: Mask) -> Array:
    """Return ``max(0, 1 − e(out, source) / e(right, source))`` in the region to change.

    Closeness to the unedited source where it should have changed: 1 is the source itself; 0 is as
    far from it as the right answer, or further. With :func:`edit_done` it tells an edit that was
    not made (not done, copied) from one that was made wrong (not done, not copied).
    """
    share: Array = np.maximum(0, 1 - _ratio(rmse(out, source, mask), rmse(right, source, mask)))
    return share


def _ratio(error: Array, scale: Array) -> Array:
    """NaN where the scale is 0: there is nothing to compare with."""
    ratio: Array = error / np.where(scale > 0, scale, np.nan)
    return ratio


def edges_kept(out: Pictures, right: Pictures) -> Array:
    """Return the F1 of the Sobel edges of results and right answers.

    For edits of the whole picture, where nothing lies outside: 1 if all edges are where the right
    answer has them, and no others; two pictures without any edge have all of them.
    """
    actual, wanted = _edges(out), _edges(right)
    both = (actual & wanted).sum(axis=(1, 2))
    total = actual.sum(axis=(1, 2)) + wanted.sum(axis=(1, 2))
    score: Array = np.where(total == 0, 1.0, 2 * both / np.maximum(total, 1))
    return score


def _edges(pictures: Pictures) -> Mask:
    grey = np.pad(pictures.astype(np.float64).mean(axis=-1) / 255, ((0, 0), (1, 1), (1, 1)), "edge")
    smooth_y = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    smooth_x = grey[:, :, :-2] + 2 * grey[:, :, 1:-1] + grey[:, :, 2:]
    across = smooth_y[:, :, 2:] - smooth_y[:, :, :-2]
    down = smooth_x[:, 2:] - smooth_x[:, :-2]
    strength = np.hypot(across, down)
    edges: Mask = strength > EDGE * np.maximum(strength.max(axis=(1, 2), keepdims=True), FAINTEST)
    return edges


def changed_region(source: Pictures, right: Pictures) -> Mask:
    """Return where right answers differ from their sources, by more than 5 of 255, and near that.

    Each change is widened by 2 pixels on every side.
    """
    difference = np.maximum(source, right) - np.minimum(source, right)
    mask: Mask = np.any(difference > VISIBLE, axis=-1)
    for axis in (1, 2):
        grown = mask.copy()
        for shift in range(1, REACH + 1):
            here, there = [slice(None)] * 3, [slice(None)] * 3
            here[axis], there[axis] = slice(shift, None), slice(0, mask.shape[axis] - shift)
            grown[tuple(here)] |= mask[tuple(there)]
            grown[tuple(there)] |= mask[tuple(here)]
        mask = grown
    return mask


def psnr(out: Pictures, right: Pictures) -> Array:
    """Return the peak signal-to-noise ratio of each picture, in dB, at most 120."""
    everywhere = np.ones(out.shape[:3], bool)
    ratio: Array = -20 * np.log10(np.maximum(rmse(out, right, everywhere), 1e-6))
    return ratio


def ssim(out: Pictures, right: Pictures) -> Array:
    """Return the structural similarity of each picture, the mean over its colours; 1 is equal.

    Wang, Bovik, Sheikh and Simoncelli, 2004: Gaussian window of 11 pixels, sigma 1.5, at the
    pictures' own size and only where the whole window lies inside. NaN if a side is below 11.
    """
    if min(out.shape[1:3]) < SIDE:
        return np.full(len(out), np.nan)
    x, y = (torch.from_numpy(it).permute(0, 3, 1, 2).double() / 255 for it in (out, right))
    # [N·3,1,H,W]: colour by colour
    index = structural_similarity(x.flatten(0, 1)[:, None], y.flatten(0, 1)[:, None])
    values: Array = index.unflatten(0, (len(out), 3)).mean(dim=(1, 2, 3, 4)).numpy()
    return values
