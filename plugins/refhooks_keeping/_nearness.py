"""How far a picture is from its source, and whether it was edited in part or as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks import RunInfo

__all__ = [
    "closed",
    "distance",
    "measured_threshold",
    "share_near",
    "softened",
    "whole_picture",
    "widened",
]

WINDOW = 5  # pixels
PERCENTILE = 0.99
FACTOR = 4 / 3
LEAST, MOST = 0.01, 0.06  # of a threshold: above, edits that can be seen would be lost
PART = 0.1  # of a picture, that is near its source, where it was edited in part


def distance(images: Tensor, others: Tensor) -> Tensor:
    """Return the RMS difference over the channels and 5 by 5 pixels around each, ``[B,H,W]``.

    Args:
        images: ``[B,C,H,W]``, 0–1.
        others: ``[1 or B,C,H,W]``, 0–1. Beyond the picture its edges go on.
    """
    difference = images.float() - others.to(images.device).float()
    squared = difference.square().mean(dim=1, keepdim=True)  # [B,1,H,W]
    wide = functional.pad(squared, (WINDOW // 2,) * 4, mode="replicate")
    return functional.avg_pool2d(wide, WINDOW, stride=1).sqrt()[:, 0]


def measured_threshold(run: RunInfo) -> Tensor:
    """Return what a pixel of a run's source may be off by, and be the source's, ``[1 or B]``.

    4/3 of the 99th percentile of :func:`distance` between the source and what the autoencoder
    alone makes of it, within 0.01–0.06.
    """
    assert run.source is not None  # noqa: S101  there is something to measure
    away = distance(run.decode(run.source.latents), run.source.pixels).flatten(1)
    place = max(1, round(PERCENTILE * away.shape[1]))
    return (FACTOR * away.kthvalue(place, dim=1).values).clamp(LEAST, MOST)


def share_near(away: Tensor, limit: Tensor) -> Tensor:
    """Return how much of each picture is nearer to its source than a threshold, 0–1, ``[B]``."""
    return (away < limit).float().mean(dim=(1, 2))


def whole_picture(away: Tensor, limit: Tensor) -> Tensor:
    """Return which pictures were edited as a whole, ``[B]``: less than a tenth of them is near.

    Args:
        away: As :func:`distance` returns it, ``[B,H,W]``.
        limit: What is near is below it, ``[1 or B,1,1]``.
    """
    return share_near(away, limit) < PART


def widened(cover: Tensor, reach: int) -> Tensor:
    """Return covers ``[B,H,W]`` with the largest value within so many places of each."""
    return functional.max_pool2d(cover[:, None], 2 * reach + 1, stride=1, padding=reach)[:, 0]


def closed(cover: Tensor) -> Tensor:
    """Return covers ``[B,H,W]`` of 0 and 1 without gaps and holes of one or two places."""
    wide = widened(cover, 1)
    return 1.0 - widened(1.0 - wide, 1)


def softened(changed: Tensor, halo: int, side: int) -> Tensor:
    """Return covers of pixels ``[B,H,W]`` of tokens that are changed, falling over their halo.

    1 on what is changed, and 0 from the end of the halo on.

    Args:
        changed: 0 or 1, ``[B,rows,columns]``.
        halo: Tokens.
        side: Pixels of a token, in rows and in columns.
    """
    cover = changed.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)
    reach = halo * side // 2
    if reach == 0:
        return cover
    wide = functional.pad(widened(cover, reach), (reach,) * 4, mode="replicate")
    return functional.avg_pool2d(wide[:, None], 2 * reach + 1, stride=1)[:, 0].clamp(0.0, 1.0)
