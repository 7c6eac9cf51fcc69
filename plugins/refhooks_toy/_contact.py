"""The contact sheet: some edits of each kind, as source, result and right answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

from refhooks_toy._edits import TWO_PICTURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from refhooks_toy._survey import Result

    Pictures = npt.NDArray[np.uint8]

ZOOM: Final = 2
TILES: Final = 12
"""In a row: four edits of three pictures, or three with a Picture 2 beside the source."""

_GAP: Final = 4  # pixels between the tiles of an edit
_APART: Final = 12  # between edits
_LINE: Final = 20  # height of a line of text


def contact_sheet(results: Sequence[Result], path: Path) -> None:
    """Write a PNG with a row a kind; each edit has its prompt and its `edit done` above it."""
    tile = results[0].out.shape[1] * ZOOM
    width = TILES * (tile + _GAP) + 4 * _APART
    height = tile + 2 * _LINE + _APART
    sheet = Image.new("RGB", (width, len(results) * height + _APART), "white")
    for number, result in enumerate(results):
        _row(sheet, result, tile, _APART + number * height)
    sheet.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _row(sheet: Image.Image, result: Result, tile: int, top: int) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    named = {"source": result.pairs.source, "result": result.out, "right": result.pairs.right}
    if result.kind == TWO_PICTURES:
        named = {"source": named.pop("source"), "Picture 2": result.pairs.extra, **named}
    pen.text((_APART, top), f"{result.kind}: {', '.join(named)}", "black", font, stroke_width=0.4)
    step = len(named) * (tile + _GAP) + _APART
    for place in range(min(TILES // len(named), len(result.out))):
        left = _APART + place * step
        said = f"{result.done[place]:.2f}  {result.pairs.prompts[place]}"
        pen.text((left, top + _LINE), _fitting(said, font, step - _APART), "#444444", font)
        for number, pictures in enumerate(named.values()):
            picture = Image.fromarray(pictures[place]).resize((tile, tile), Image.Resampling.BOX)
            sheet.paste(picture, (left + number * (tile + _GAP), top + 2 * _LINE))


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
