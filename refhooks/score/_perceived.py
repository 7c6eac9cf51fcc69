"""What an eye sees: edit done and kept by CIEDE2000 and by SSIM, beside RMSE.

Pictures and regions are those of :mod:`refhooks.score._measures`. Both need scikit-image, which the
extra ``measure`` brings; it is imported when something is first measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from refhooks._base.shift import can_measure

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Pictures = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

PERCEIVED: Final = ("done_ciede2000", "done_ssim", "kept_ciede2000", "kept_ssim")
"""The names of these measures on a scorecard."""

WINDOW: Final = 11  # pixels: the sides of a picture whose structure can be measured


def perceived() -> tuple[str, ...]:
    """Return the measures that can be taken here: all, or none without scikit-image."""
    return PERCEIVED if can_measure() else ()


def colour_difference(a: Pictures, b: Pictures) -> Array:
    """Return the CIEDE2000 difference of each pixel, ``[N,H,W]``, 0 and above.

    Sharma, Wu and Dalal, 2005, "The CIEDE2000 color-difference formula"; sRGB under D65. About 1
    can just be seen.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab  # noqa: PLC0415  an extra

    found: Array = deltaE_ciede2000(rgb2lab(a), rgb2lab(b))
    return found


def structure(a: Pictures, b: Pictures) -> Array:
    """Return the structural similarity around each pixel, ``[N,H,W]``, up to 1 (equal).

    Wang, Bovik, Sheikh and Simoncelli, 2004: Gaussian window of 11 pixels, sigma 1.5, the mean over
    the colours; beyond the picture it is mirrored. NaN if a side is below 11.
    """
    if min(a.shape[1:3]) < WINDOW:
        return np.full(a.shape[:3], np.nan)
    from skimage.metrics import structural_similarity  # noqa: PLC0415  an extra

    maps = [
        structural_similarity(
            one, other, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True,
        )[1].mean(axis=-1)
        for one, other in zip(a, b, strict=True)
    ]  # fmt: skip
    return np.stack(maps)


def done_by_colour(out: Pictures, source: Pictures, right: Pictures, mask: Mask) -> Array:
    """Return ``max(0, 1 − ΔE(out, right) / ΔE(source, right))``, means over the region to change.

    As :func:`refhooks.score.edit_done`, with CIEDE2000 in place of RMSE.
    """
    return _done(colour_difference(out, right), colour_difference(source, right), mask)


def done_by_structure(out: Pictures, source: Pictures, right: Pictures, mask: Mask) -> Array:
    """Return ``max(0, 1 − (1 − SSIM(out, right)) / (1 − SSIM(source, right)))``, likewise."""
    return _done(1 - structure(out, right), 1 - structure(source, right), mask)


def kept_by_colour(out: Pictures, without: Pictures, source: Pictures, mask: Mask) -> Array:
    """Return ``1 − ΔE(out, source) / ΔE(without, source)``, means outside of the region to change.

    As :func:`refhooks.score.kept`, with CIEDE2000 in place of RMSE; ``without`` is the result
    without a reference.
    """
    error = _mean(colour_difference(out, source), ~mask)
    share: Array = 1 - _over(error, _mean(colour_difference(without, source), ~mask))
    return share


def kept_by_structure(out: Pictures, source: Pictures, mask: Mask) -> Array:
    """Return the mean SSIM of results and sources outside of the region to change; 1 is equal."""
    return _mean(structure(out, source), ~mask)


def _done(error: Array, scale: Array, mask: Mask) -> Array:
    done: Array = np.maximum(0, 1 - _over(_mean(error, mask), _mean(scale, mask)))
    return done


def _mean(values: Array, where: Mask) -> Array:
    """Over a region; NaN where that is empty."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Array = np.where(where, values, 0.0).sum(axis=(1, 2)) / where.sum(axis=(1, 2))
    return mean


def _over(error: Array, scale: Array) -> Array:
    """NaN where the scale is 0: there is nothing to compare with."""
    ratio: Array = error / np.where(scale > 0, scale, np.nan)
    return ratio
