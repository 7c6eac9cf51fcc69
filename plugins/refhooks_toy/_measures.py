"""What the report measures: edit done, kept, PSNR, SSIM, and their 95 % intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Pictures = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_EDGE: Final = 0.25  # Sobel strength, of the largest possible, from which a pixel is an edge


@attrs.frozen
class Interval:
    """A mean with its 95 % bootstrap interval, over `count` scenes."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        """Write it as `mean [low, high]`."""
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(values: Array, seed: int = 0) -> Interval:
    """Mean of per-scene values `[N]` and the 95 % interval of 2,000 resamplings."""
    random = np.random.default_rng(seed)
    picks = random.integers(0, len(values), (2000, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high), len(values))


def rmse(a: Pictures, b: Pictures, where: Mask) -> Array:
    """Root mean square error (0 to 1, sRGB) of each picture in `where`; NaN if that is empty."""
    square = ((a.astype(np.float64) - b) / 255) ** 2
    inside = where.sum(axis=(1, 2)) * 3.0
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = np.sqrt((square * where[..., None]).sum(axis=(1, 2, 3)) / inside)
    return result


def edit_done(out: Pictures, source: Pictures, right: Pictures, mask: Mask) -> Array:
    """`max(0, 1 - e(out, right) / e(source, right))` in the region to change; 1 is right."""
    done: Array = np.maximum(0, 1 - rmse(out, right, mask) / rmse(source, right, mask))
    return done


def kept(out: Pictures, without: Pictures, source: Pictures, mask: Mask) -> Array:
    """`1 - e(out, source) / e(without, source)` outside the region that should change.

    `without` is the result without a reference. 1 is all kept; NaN where nothing lies outside.
    """
    share: Array = 1 - rmse(out, source, ~mask) / rmse(without, source, ~mask)
    return share


def edges_kept(out: Pictures, right: Pictures) -> Array:
    """F1 of the Sobel edges of results and right answers, for edits of the whole picture."""
    found, wanted = _edges(out), _edges(right)
    both = (found & wanted).sum(axis=(1, 2))
    score: Array = 2 * both / np.maximum(found.sum(axis=(1, 2)) + wanted.sum(axis=(1, 2)), 1)
    return score


def _edges(pictures: Pictures) -> Mask:
    grey = np.pad(pictures.astype(np.float64).mean(axis=-1) / 255, ((0, 0), (1, 1), (1, 1)), "edge")
    smooth_y = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    smooth_x = grey[:, :, :-2] + 2 * grey[:, :, 1:-1] + grey[:, :, 2:]
    across = smooth_y[:, :, 2:] - smooth_y[:, :, :-2]
    down = smooth_x[:, 2:] - smooth_x[:, :-2]
    strength = np.hypot(across, down)
    edges: Mask = strength > _EDGE * np.maximum(strength.max(axis=(1, 2), keepdims=True), 0.2)
    return edges


def psnr(out: Pictures, right: Pictures) -> Array:
    """Peak signal-to-noise ratio of each picture, in dB."""
    everywhere = np.ones(out.shape[:3], bool)
    ratio: Array = -20 * np.log10(np.maximum(rmse(out, right, everywhere), 1e-6))
    return ratio


def ssim(out: Pictures, right: Pictures) -> Array:
    """Structural similarity of each picture (Wang and others, 2004): 11-pixel window, sigma 1.5."""
    x, y = (torch.from_numpy(p).permute(0, 3, 1, 2).double() / 255 for p in (out, right))
    axis = torch.arange(11, dtype=torch.float64) - 5
    bell = torch.exp(-(axis**2) / (2 * 1.5**2))
    kernel = torch.outer(bell, bell) / bell.sum() ** 2

    def blur(z: Tensor) -> Tensor:
        return functional.conv2d(z, kernel.expand(3, 1, 11, 11), groups=3)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    index = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    values: Array = index.mean(dim=(1, 2, 3)).numpy()
    return values
