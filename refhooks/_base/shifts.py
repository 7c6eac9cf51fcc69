"""How far a picture lies beside the one it was made from, and putting it back.

Needs scikit-image, the extra ``measure``, which is imported when something is measured.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from PIL import Image

from refhooks._base.shift import Shift, check_measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

__all__ = ["measure_shift", "moved_back"]

SURE = 0.5  # of the structure of the source is found again, or nothing is measured
PRECISE = 0.5  # pixels: the standard error with which something is measured at all
FAR = 1 / 8  # of the shorter side: what seems to be farther off is another thing
LARGEST, SMALLEST = 1.15, 0.85
GLANCE, LOOK = 256, 1024  # pixels: longer side at which it is first looked for, and measured
SCALES = (1.0, 0.98, 1.02, 0.95, 1.05, 0.92, 1.08)  # tried first
ROBUST = (1.5, 0.8, 0.4)  # difference of features from which on a pixel counts less and less
FLAT = 0.004  # root mean square of the luma's gradient, below which there is nothing to see
ROUNDS, FINE_ROUNDS, ENOUGH = 25, 6, 0.003  # steps of the descent, and pixels at which it ends
FINEST = 0.02  # pixels as they are looked at: what no error is below
TILES = 8  # along each side: parts of the picture that are asked one by one
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def measure_shift(source: Image.Image, result: Image.Image) -> Shift:
    """Measure how a picture lies over the one it was made from.

    What both have of structure, the local contrast of their luma's gradient, is laid over each
    other by phase correlation at several scales (Guizar-Sicairos, Thurman and Fienup, 2008,
    "Efficient subpixel image registration algorithms"), then moved and scaled until the squared
    difference is smallest, in which pixels that differ much count less (Lucas and Kanade, 1981;
    Geman and McClure's weights), so that a part that was edited does not move the rest.

    Args:
        source: RGB.
        result: RGB; one of another size counts as lying over all of the source, stretched.

    Returns:
        The shift; what cannot be measured, as of a picture that shows something else, says why.

    Raises:
        InputError: scikit-image is not installed.
    """
    check_measure()
    width, height = source.size
    first, *finer = _levels(width, height)
    fit, agreed = _first_fit(source, result, first)
    if isinstance(fit, str):
        return Shift(None, None, None, agreed, reason=fit)
    for shape in finer:
        pair = _Pair.of(source, result, shape)
        fit = pair.descend(fit.at(shape[0] / fit.width), ROBUST[-1:], FINE_ROUNDS)
    grain = width / result.width
    finest = FINEST * max(1.0, grain, width / fit.width)
    return _judged(fit.at(width / fit.width), agreed, source.size, grain, finest)


def moved_back(pixels: Values, shift: Shift, width: int) -> Values:
    """Return pixels ``[height,width,channels]`` with a shift undone, bicubic.

    Where the picture then ends short of its frame, its outermost pixels are repeated.

    Args:
        pixels: 0–1.
        shift: That was measured.
        width: Of the source, whose pixels the shift is in.
    """
    from skimage.transform import warp  # noqa: PLC0415  an extra

    assert shift.x is not None  # noqa: S101  the caller asks
    factor = pixels.shape[1] / width
    fit = _Fit(shift.x * factor, (shift.y or 0.0) * factor, shift.scale or 1.0, pixels.shape[1])
    return np.asarray(warp(pixels, fit.matrix(pixels.shape[:2]), order=3, mode="edge"))


@attrs.frozen(eq=False)
class _Fit:
    """A shift in pixels of a width, with the covariance of shift and scale."""

    x: float
    y: float
    scale: float
    width: int
    covariance: Any = None

    def at(self, factor: float) -> _Fit:
        """The same at another width."""
        spread = np.diag([factor, factor, 1.0])
        covariance = None if self.covariance is None else spread @ self.covariance @ spread
        width = round(self.width * factor)
        return _Fit(self.x * factor, self.y * factor, self.scale, width, covariance)

    def matrix(self, shape: tuple[int, ...]) -> Values:
        """Where a place of the source is found in the result, ``[3,3]``, columns before rows."""
        middle = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
        return np.array([
            [self.scale, 0.0, self.x + middle[0] * (1.0 - self.scale)],
            [0.0, self.scale, self.y + middle[1] * (1.0 - self.scale)],
            [0.0, 0.0, 1.0],
        ])  # fmt: skip


def _levels(width: int, height: int) -> list[tuple[int, int]]:
    """The sizes at which pictures are looked at, width first, the smallest first."""
    longer = max(width, height)
    sides = sorted({min(longer, GLANCE), min(longer, LOOK)})
    return [(max(1, width * side // longer), max(1, height * side // longer)) for side in sides]


def _first_fit(
    source: Image.Image, result: Image.Image, shape: tuple[int, int]
) -> tuple[_Fit | str, float]:
    """Find the shift at a glance; a text says why there is none."""
    pair = _Pair.of(source, result, shape)
    if pair.is_flat:
        return "one of the pictures is small, or has hardly any structure", 0.0
    fit = pair.descend(pair.start(), ROBUST)
    agreed = pair.agreed(fit)
    if agreed < SURE:
        return f"less than {SURE:.0%} of the source's structure is in the picture", agreed
    return fit, agreed


def _judged(fit: _Fit, agreed: float, size: tuple[int, int], grain: float, finest: float) -> Shift:
    corners = [(x * (size[0] - 1) / 2, y * (size[1] - 1) / 2) for x in (-1, 1) for y in (-1, 1)]
    grown = fit.scale - 1.0
    most = max(math.hypot(fit.x + grown * x, fit.y + grown * y) for x, y in corners)
    spread = [np.array([[1.0, 0.0, x], [0.0, 1.0, y]]) for x, y in corners]
    errors = [float(np.trace(at @ fit.covariance @ at.T)) for at in spread]
    error = math.sqrt(max(0.0, *errors) + finest**2)
    reason = ""
    if math.hypot(fit.x, fit.y) > FAR * min(size) or not SMALLEST <= fit.scale <= LARGEST:
        reason = "what is alike lies too far off to be the same"
    elif error > PRECISE * max(1.0, grain, max(size) / LOOK):
        reason = f"it is known to {error:.1f} px only"
    if reason:
        return Shift(None, None, None, agreed, reason=reason)
    return Shift(float(fit.x), float(fit.y), float(fit.scale), agreed, error, most, grain)


@attrs.frozen(eq=False)
class _Pair:
    """Features of two pictures, ``[height,width]`` each."""

    source: Values
    result: Values
    is_flat: bool

    @classmethod
    def of(cls, source: Image.Image, result: Image.Image, shape: tuple[int, int]) -> _Pair:
        """Those of two pictures, at a size."""
        (one, rough), (other, rougher) = (_features(it, shape) for it in (source, result))
        return cls(one, other, min(rough, rougher) < FLAT or min(shape) < 2 * TILES)

    def start(self) -> _Fit:
        """The scale, and the shift at it, at which both are most alike, by phase correlation."""
        from skimage.registration import phase_cross_correlation  # noqa: PLC0415  an extra

        height, width = self.source.shape
        window = np.sqrt(np.outer(np.hanning(height + 2), np.hanning(width + 2))[1:-1, 1:-1])
        faded = (self.source - self.source.mean()) * window
        best, least = _Fit(0.0, 0.0, 1.0, width), math.inf
        for scale in SCALES:
            other = self._warped(_Fit(0.0, 0.0, scale, width))
            (down, right), error, _ = phase_cross_correlation(
                faded, (other - other.mean()) * window, upsample_factor=4, normalization=None
            )
            if error < least:
                best, least = _Fit(-right * scale, -down * scale, scale, width), float(error)
        return best

    def descend(self, fit: _Fit, robust: tuple[float, ...], rounds: int = ROUNDS) -> _Fit:
        """Move and scale until the weighted squared difference is smallest."""
        reach = max(self.source.shape) / 2
        covariance: Any = None
        for bound in robust:
            for _ in range(rounds):
                hessian, slopes = self._normal(fit, bound)
                step = np.clip(np.linalg.solve(hessian, slopes.sum(axis=0)), -1.0, 1.0)
                fit = attrs.evolve(
                    fit, x=fit.x + step[0], y=fit.y + step[1], scale=fit.scale + step[2] / reach
                )
                inverse = np.linalg.inv(hessian)
                covariance = inverse @ slopes.T @ slopes @ inverse
                if np.abs(step).max() < ENOUGH:
                    break
        spread = np.diag([1.0, 1.0, 1.0 / reach])
        return attrs.evolve(fit, covariance=spread @ covariance @ spread)

    def agreed(self, fit: _Fit) -> float:
        """The share of the source's structure that is alike in the moved picture, 0–1."""
        one, other = self.source, self._warped(fit)
        variances = [_blurred(it * it, 4.0) - _blurred(it, 4.0) ** 2 for it in (one, other)]
        both = _blurred(one * other, 4.0) - _blurred(one, 4.0) * _blurred(other, 4.0)
        known, seen = (np.maximum(it, 1e-9) for it in variances)
        alike = both / np.sqrt(known * seen) > 0.7
        weights = np.sqrt(known) * self._inside(fit)
        return float((weights * alike).sum() / max(weights.sum(), 1e-9))

    def _warped(self, fit: _Fit) -> Values:
        from skimage.transform import warp  # noqa: PLC0415  an extra

        matrix = fit.matrix(self.source.shape)
        return np.asarray(warp(self.result, matrix, order=3, mode="edge", preserve_range=True))

    def _places(self) -> tuple[Values, Values]:
        height, width = self.source.shape
        rows, columns = np.mgrid[:height, :width].astype(np.float64)
        return rows - (height - 1) / 2, columns - (width - 1) / 2

    def _inside(self, fit: _Fit) -> Values:
        """1 where a place of the source is found inside of the result."""
        rows, columns = self._places()
        height, width = self.source.shape
        inside = np.abs(fit.scale * rows + fit.y) <= (height - 1) / 2
        inside &= np.abs(fit.scale * columns + fit.x) <= (width - 1) / 2
        weights: Values = inside.astype(np.float64)
        return weights

    def _normal(self, fit: _Fit, bound: float) -> tuple[Values, Values]:
        """The normal equations of one step: ``[3,3]``, and ``[tiles,3]`` of each part."""
        moved = self._warped(fit)
        rows, columns = self._places()
        reach = max(self.source.shape) / 2
        difference = self.source - moved
        weights = self._inside(fit) / (1.0 + (difference / bound) ** 2) ** 2
        down, right = (np.gradient((self.source + moved) / 2, axis=axis) for axis in (0, 1))
        slopes = np.stack([right, down, (right * columns + down * rows) / reach])  # [3,h,w]
        hessian = np.einsum("ihw,jhw,hw->ij", slopes, slopes, weights)
        parts = slopes * (weights * difference)
        tiles = [
            tile.sum(axis=(1, 2))
            for band in np.array_split(parts, TILES, axis=1)
            for tile in np.array_split(band, TILES, axis=2)
        ]
        return hessian + 1e-6 * np.eye(3), np.stack(tiles)


def _features(picture: Image.Image, shape: tuple[int, int]) -> tuple[Values, float]:
    """The gradient's length over what it is around, ``[height,width]``, and its size before.

    Light and contrast that change over the picture change it little.
    """
    small = picture.convert("RGB")
    if small.size != shape:
        small = small.resize(shape, Image.Resampling.LANCZOS)
    luma = _blurred(np.asarray(small, dtype=np.float64) @ np.array(LUMA) / 255.0, 1.0)
    length = np.hypot(np.gradient(luma, axis=0), np.gradient(luma, axis=1))
    rough = float(np.sqrt((length**2).mean()))
    around = np.sqrt(_blurred(length**2, 8.0))
    return length / (around + 0.1 * max(rough, 1e-9)), rough


def _blurred(values: Values, sigma: float) -> Values:
    from skimage.filters import gaussian  # noqa: PLC0415  an extra

    return np.asarray(gaussian(values, sigma, mode="nearest", preserve_range=True))
