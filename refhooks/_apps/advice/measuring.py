"""What is measured of a picture and its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["CLEAR", "SLIGHT", "Measured", "measure"]

# Sizes of a change are the largest difference of a pixel's channels, sRGB 0–1.
CLEAR = 32 / 255  # from here a pixel is changed for anyone to see
SLIGHT = 16 / 255  # from here it is changed at all; what a VAE alone does is mostly below


@attrs.frozen
class Measured:
    """What was measured of a picture and its source.

    Attributes:
        changed: Share of the pixels that changed clearly, by at least 32 of 255 in a channel.
        inside: Likewise, of those that a mask covers; ``None`` without masks.
        outside: Likewise, of the others.
        change: By how much pixels changed that changed by 16 of 255 or more, 0–1: their mean, in
            which larger changes weigh more. 0 where there are none. Inside the masks, if there are.
        similarity: SSIM with the source, up to 1.
        edges: How far the edges are where those of the source are, 0–1.
    """

    changed: float
    inside: float | None
    outside: float | None
    change: float
    similarity: float
    edges: float


def measure(source: Image, result: Image, inside: Tensor | None = None) -> Measured:
    """Measure two pictures of one size; ``inside`` is what masks cover."""
    from refhooks._base.measures import difference, edge_overlap, similarity  # noqa: PLC0415  torch

    change = difference(source, result)
    clear = (change >= CLEAR).float()
    masked = inside is not None and bool(inside.any()) and not bool(inside.all())
    meant = change[inside] if masked else change
    touched = meant[meant >= SLIGHT].double()
    return Measured(
        changed=float(clear.mean()),
        inside=float(clear[inside].mean()) if masked else None,
        outside=float(clear[~inside].mean()) if masked else None,  # type: ignore[operator]
        change=float((touched**2).sum() / touched.sum()) if touched.numel() else 0.0,
        similarity=similarity(source, result),
        edges=edge_overlap(source, result),
    )
