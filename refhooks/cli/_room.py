"""How much room on a disk what a command writes may take, known before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from refhooks._core.plugins.registry import Registry

__all__ = ["PLOT", "REPORT", "SCORE", "output_pixels", "picture_room"]

CHANNELS: Final = 4  # bytes a pixel, where nothing in it can be compressed
MARGIN: Final = 2**15  # bytes beside the pixels: the recipe, the format's own
PLOT: Final = 2**17  # bytes; ours have about half of it
SCORE: Final = 2**19  # bytes: two plots, the scorecard and its table
REPORT: Final = 2 * PLOT + 2**16  # bytes beside its pictures
USUAL: Final = 2**20  # pixels of a model that nobody has looked at yet


def output_pixels(
    model: str | None,
    registry: Registry,
    source: Image,
    *,
    height: int | None,
    width: int | None,
    resolution: int | Literal["native"] | None,
) -> int:
    """Return about how many pixels an output will have.

    Args:
        model: As it was named; what an embedded one prescribes is known.
        registry: Embedded models are looked up there.
        source: The picture being edited, whose shape the output takes.
        height: As it was given.
        width: Likewise.
        resolution: Likewise.
    """
    ratio = source.width / source.height
    if height is not None and width is not None:
        return height * width
    if height is not None:
        return round(height * height * ratio)
    if width is not None:
        return round(width * width / ratio)
    if resolution == "native":
        return source.width * source.height
    if resolution is not None:
        return resolution
    embedded = registry.models.get(model or "")
    area = None if embedded is None else embedded.checkpoint.output
    return area or USUAL


def picture_room(pixels: int, count: int = 1, embedded: Sequence[Image] = ()) -> int:
    """Return how many bytes so many pictures may take, with what is put inside of each."""
    inside = sum(CHANNELS * picture.width * picture.height for picture in embedded)
    return count * (CHANNELS * pixels + MARGIN + inside)
