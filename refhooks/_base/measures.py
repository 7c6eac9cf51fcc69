"""What can be measured of a picture and the one it was made from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

LOOKED_AT = 256  # pixels: the shorter side at which structure is looked at
SIDE, SIGMA = 11, 1.5  # of the window of SSIM, pixels
STABLE = (0.01**2, 0.03**2)  # its constants for values 0–1
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
EDGE = 0.25  # an edge is at least so strong, of the strongest in its picture
FAINTEST = 0.2  # the strongest edge counts as at least this, or else noise would be edges


def difference(before: Image, after: Image) -> Tensor:
    """Return by how much each pixel changed: its largest difference of a channel, sRGB 0–1.

    Returns:
        ``[height,width]``.
    """
    return (_pixels(after) - _pixels(before)).abs().amax(dim=0)


def peak_signal_to_noise(before: Image, after: Image) -> float:
    """Return PSNR in dB, ``−10·log10`` of the mean squared difference in sRGB 0–1; equal: ∞."""
    error = float((_pixels(after).double() - _pixels(before).double()).square().mean())
    return -10.0 * math.log10(error) if error > 0.0 else math.inf


def similarity(before: Image, after: Image) -> float:
    """Return the structural similarity of two pictures' luma, up to 1 (equal).

    The mean of SSIM over a Gaussian window of 11 pixels, sigma 1.5 (Wang, Bovik, Sheikh and
    Simoncelli, 2004, "Image quality assessment: from error visibility to structural similarity"),
    after averaging so that the shorter side has about 256 pixels, as its authors advise. Beyond the
    picture its edges go on.
    """
    margin = (SIDE // 2,) * 4
    x, y = (functional.pad(_luma(picture), margin, mode="replicate") for picture in (before, after))
    return float(structural_similarity(x, y).mean())


def structural_similarity(x: Tensor, y: Tensor) -> Tensor:
    """Return SSIM at each pixel whose window lies inside, ``[N,1,H-10,W-10]``.

    Args:
        x: Pictures of one channel, ``[N,1,H,W]``, 0–1, float64: variances are differences of nearly
            equal numbers.
        y: What they are compared with, likewise.
    """
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x = _blurred(x * x) - mean_x**2
    var_y = _blurred(y * y) - mean_y**2
    both = _blurred(x * y) - mean_x * mean_y
    low, high = STABLE
    means = (2 * mean_x * mean_y + low) / (mean_x**2 + mean_y**2 + low)
    return means * (2 * both + high) / (var_x + var_y + high)


def edge_overlap(before: Image, after: Image) -> float:
    """Return how far two pictures have their edges in the same places, 0–1 (all of them).

    Looked at in the size that :func:`similarity` uses. Edges are where Sobel's gradient of the luma
    is at least a quarter of the picture's strongest; one that moved by a pixel still counts. F1 of
    both directions: what is lost of the first picture's edges, and what is new in the second. Two
    pictures without any edge have all of them.
    """
    one, other = _edges(_luma(before)), _edges(_luma(after))
    count, others = float(one.sum()), float(other.sum())
    if count == 0.0 or others == 0.0:
        return float(count == others)
    kept = float((one * _widened(other)).sum()) / count
    known = float((other * _widened(one)).sum()) / others
    return 0.0 if kept + known == 0.0 else 2 * kept * known / (kept + known)


def _pixels(picture: Image) -> Tensor:
    """``[3,height,width]``, 0–1."""
    values = torch.from_numpy(np.array(picture.convert("RGB"), dtype=np.float32))
    return values.permute(2, 0, 1) / 255.0


def _luma(picture: Image) -> Tensor:
    """``[1,1,height,width]``, float64."""
    weights = torch.tensor(LUMA, dtype=torch.float64)
    luma = torch.einsum("c,chw->hw", weights, _pixels(picture).double())[None, None]
    factor = max(1, round(min(luma.shape[-2:]) / LOOKED_AT))
    return functional.avg_pool2d(luma, factor, ceil_mode=True)


def _blurred(values: Tensor) -> Tensor:
    """Gaussian, along one side and then along the other."""
    places = torch.arange(SIDE, dtype=values.dtype) - SIDE // 2
    bell = torch.exp(-(places**2) / (2 * SIGMA**2))
    bell /= bell.sum()
    return functional.conv2d(
        functional.conv2d(values, bell.reshape(1, 1, -1, 1)), bell.reshape(1, 1, 1, -1)
    )


def _edges(luma: Tensor) -> Tensor:
    """``[1,1,height,width]``, 0 or 1."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(luma) / 4.0
    wide = functional.pad(luma, (1, 1, 1, 1), mode="replicate")
    kernels = torch.stack([across, across.T]).unsqueeze(1)  # [2,1,3,3]
    strength = torch.linalg.vector_norm(functional.conv2d(wide, kernels), dim=1, keepdim=True)
    bound = EDGE * max(float(strength.max()), FAINTEST)
    edges: Tensor = strength >= bound
    return edges.to(luma)


def _widened(edges: Tensor) -> Tensor:
    return functional.max_pool2d(edges, 3, stride=1, padding=1)
