"""Measures that the claims need beside those of every scorecard."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from refhooks.score import edges_kept, rmse
from refhooks.score._perceived import colour_difference, structure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from refhooks.score import Pair, Shot

    Array = npt.NDArray[np.float64]

COARSE = 4.0  # pixels: sigma of the Gaussian that tells coarse from fine


def artifacts(shot: Shot) -> float | None:
    """Return how far pixels are from every mixture of the source and the right answer.

    RMSE over the picture (sRGB, 0–1) of the distance in RGB to the segment between the two: an edit
    that was not made, or made in part, costs nothing.
    """
    if shot.right is None:
        return None
    out, source, right = (it / 255.0 for it in (shot.out, shot.source, shot.right))
    along = right - source
    length = (along**2).sum(axis=-1, keepdims=True)
    share = ((out - source) * along).sum(axis=-1, keepdims=True) / np.maximum(length, 1e-9)
    nearest = source + np.clip(share, 0, 1) * along
    return float(np.sqrt(((out - nearest) ** 2).mean()))


def coarse(shot: Shot) -> float | None:
    """Return the low-frequency part of the error outside the region that should change (RMSE)."""
    parts = _split(shot)
    return None if parts is None else parts[0]


def fine(shot: Shot) -> float | None:
    """Return the high-frequency part of it."""
    parts = _split(shot)
    return None if parts is None else parts[1]


def _split(shot: Shot) -> tuple[float, float] | None:
    if shot.region is None or shot.region.all():
        return None
    outside = (~shot.region)[..., None].astype(np.float64)
    error = (shot.out.astype(np.float64) - shot.source) / 255 * outside
    # Normalised by the blurred mask, or else the edge of the region would count as coarse error.
    smooth = _blurred(error) / np.maximum(_blurred(outside), 1e-6) * outside
    count = outside.sum() * 3
    low, high = (np.sqrt((it**2).sum() / count) for it in (smooth, error - smooth))
    return float(low), float(high)


def _blurred(picture: Array) -> Array:
    """Gaussian blur of ``[H,W,C]``; beyond the picture there is nothing."""
    down, across = (_gaussian(side) for side in picture.shape[:2])
    smooth: Array = np.einsum("yi,ijc,xj->yxc", down, picture, across, optimize=True)
    return smooth


@cache
def _gaussian(side: int) -> Array:
    """The weight of each place for each place, ``[side,side]``."""
    apart = np.arange(side)[:, None] - np.arange(side)
    weights: Array = np.exp(-0.5 * (apart / COARSE) ** 2)
    return weights / np.exp(-0.5 * (np.arange(-side, side + 1) / COARSE) ** 2).sum()


def right_half(shot: Shot) -> float | None:
    """Return how far the right half is from the result without a reference (RMSE)."""
    if shot.without is None:
        return None
    middle = shot.out.shape[1] // 2
    halves = shot.out[None, :, middle:], shot.without[None, :, middle:]
    return float(rmse(*halves, np.ones(halves[0].shape[:3], bool))[0])


def own_edges(shot: Shot) -> float:
    """Return the F1 of the edges of the result and of its source."""
    return float(edges_kept(shot.out[None], shot.source[None])[0])


def copied_ciede2000(shot: Shot) -> float | None:
    """Return ``max(0, 1 − ΔE(out, source) / ΔE(right, source))`` in the region to change.

    As *copied* of a scorecard, with CIEDE2000 in place of RMSE.
    """
    return _copied(shot, colour_difference)


def copied_ssim(shot: Shot) -> float | None:
    """Return ``max(0, 1 − (1 − SSIM(out, source)) / (1 − SSIM(right, source)))``, likewise."""
    return _copied(shot, lambda one, other: 1 - structure(one, other))


def _copied(shot: Shot, error: Callable[[Any, Any], Array]) -> float | None:
    if shot.right is None or shot.region is None or not shot.region.any():
        return None
    far, whole = (
        error(it[None], shot.source[None])[0][shot.region].mean() for it in (shot.out, shot.right)
    )
    return float(max(0.0, 1 - far / whole)) if whole > 0 else None


COPIED = (copied_ciede2000.__name__, copied_ssim.__name__)


def measures(pairs: Sequence[Pair]) -> Mapping[str, Callable[[Shot], float | None]]:
    """Return the measures by name.

    Args:
        pairs: What is edited: the next one of the same kind is a pair's stranger.
    """
    strangers = _strangers(pairs)

    def other_edges(shot: Shot) -> float:
        source = np.asarray(strangers[shot.pair.key].source)
        return float(edges_kept(shot.out[None], source[None])[0])

    other_edges.key = repr({key: other.key for key, other in strangers.items()})  # type: ignore[attr-defined]
    return {
        "artifacts": artifacts,
        "coarse": coarse,
        "fine": fine,
        "right half": right_half,
        "own edges": own_edges,
        "other edges": other_edges,
        **{it.__name__: it for it in (copied_ciede2000, copied_ssim)},
    }


def _strangers(pairs: Sequence[Pair]) -> dict[str, Any]:
    kinds: dict[str, list[Pair]] = {}
    for pair in pairs:
        kinds.setdefault(pair.kind, []).append(pair)
    return {
        pair.key: same[(place + 1) % len(same)]
        for same in kinds.values()
        for place, pair in enumerate(same)
    }


NAMES = tuple(measures(()))
