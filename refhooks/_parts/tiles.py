"""Tiles in which a VAE encodes and decodes: none of a picture may fall between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from refhooks._base.size import Size

__all__ = ["check_tiles", "tile_words"]


@attrs.frozen
class _Tiles:
    """Along one axis, in pixels.

    Attributes:
        axis: ``height`` or ``width``.
        side: Of a tile.
        stride: From one to the next.
    """

    axis: str
    side: float
    stride: float

    def __str__(self) -> str:
        return f"{self.side:g} pixels with a stride of {self.stride:g} ({self.axis})"


def check_tiles(pipe: Any, sizes: Iterable[Size]) -> None:
    """Refuse tiles that would lose or move a part of a picture, in words of ``enable_tiling``.

    Args:
        pipe: With the VAE.
        sizes: Of the pictures that are encoded or decoded.

    Raises:
        InputError: A picture is cut into tiles, and they leave gaps, or begin within a latent.
    """
    vae = getattr(pipe, "vae", None)
    factor = int(getattr(vae, "spatial_compression_ratio", 1))
    for size in dict.fromkeys(sizes):
        for tiles in _tilings(vae):
            if getattr(size, tiles.axis) <= tiles.side:
                continue
            if tiles.stride > tiles.side:
                raise InputError(
                    f"the VAE's tiles of {tiles} would lose what lies between them in a picture of"
                    f" {size}; {_instead(tiles, factor)}"
                )
            if tiles.stride % factor:
                raise InputError(
                    f"the VAE's tiles of {tiles} do not begin where one of its latents, of {factor}"
                    f" pixels, does; {_instead(tiles, factor)}"
                )


def tile_words(vae: Any) -> str:
    """Return how messages tell in which tiles a VAE works; nothing where it does not."""
    told = " and ".join(map(str, _tilings(vae)))
    return f"; it works in tiles of {told}: change them with enable_tiling()" if told else ""


def _instead(tiles: _Tiles, factor: int) -> str:
    fitting = max(factor, int(tiles.side * 3 // 4 // factor) * factor)
    return (
        f"give enable_tiling() a tile_sample_stride_{tiles.axis} up to the tile, such as {fitting},"
        " or call disable_tiling()"
    )


def _tilings(vae: Any) -> Iterator[_Tiles]:
    """Both axes of a VAE that is tiled by sides and strides, which not all kinds have."""
    if not getattr(vae, "use_tiling", False):
        return
    for axis in ("height", "width"):
        side = getattr(vae, f"tile_sample_min_{axis}", None)
        stride = getattr(vae, f"tile_sample_stride_{axis}", None)
        if side and stride:
            yield _Tiles(axis, side, stride)
