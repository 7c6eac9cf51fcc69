"""Sheets: several pictures side by side, each with a caption a person can read."""

from __future__ import annotations

import functools
import math
import unicodedata
from typing import TYPE_CHECKING

import attrs
from PIL import Image, ImageDraw, ImageFont

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MARGIN = 16
TEXT_SIZE = 18
TITLE_SIZE = 24
MAX_LINES = 8
MAX_BESIDE = 240  # pixels: the width of what stands beside a row of a table
MANY_ROWS = 6
MIN_BAND = 640
MIN_COLUMN = 96
CORNER = 160
INK = (32, 32, 32)
PAPER = (255, 255, 255)
# Pillow's own font knows little beyond ASCII; these are looked for where it does not do.
OTHER_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf",
    "NotoSansCJK-Regular.ttc", "PingFang.ttc", "msyh.ttc",
)  # fmt: skip


@attrs.frozen(eq=False)
class _Label:
    """A wrapped text with the font that has its letters."""

    lines: tuple[str, ...]
    font: Font
    leading: int

    @property
    def height(self) -> int:
        return self.leading * len(self.lines)

    def draw(self, sheet: ImageDraw.ImageDraw, left: int, top: int) -> None:
        for number, line in enumerate(self.lines):
            sheet.text((left, top + number * self.leading), line, fill=INK, font=self.font)


def make_sheet(
    pictures: Sequence[Image.Image],
    captions: Sequence[str],
    *,
    title: str = "",
    columns: int | None = None,
    tile: int = 384,
) -> Image.Image:
    """Return one picture that shows several, with a caption under each.

    Args:
        pictures: At least one; each is fitted into a square of ``tile`` pixels. A smaller one is
            enlarged by a whole factor without smoothing, so that its own pixels are seen.
        captions: One a picture, wrapped to the width of its tile; a line break is kept.
        title: Above all of them, wrapped to the width of the sheet.
        columns: Pictures in a row; ``None``: all of them.
        tile: Pixels.

    Raises:
        InputError: No picture, or not one caption for each.
    """
    if not pictures or len(pictures) != len(captions):
        raise InputError(
            f"a sheet needs one caption a picture, got {len(captions)} for {len(pictures)}"
        )
    columns = min(columns or len(pictures), len(pictures))
    width = columns * (tile + MARGIN) + MARGIN
    shown = [_fitted(picture, tile) for picture in pictures]
    labels = [_label(caption, tile, TEXT_SIZE) for caption in captions]
    head = _label(title, width - 2 * MARGIN, TITLE_SIZE) if title else None
    rows = [
        range(start, min(start + columns, len(shown))) for start in range(0, len(shown), columns)
    ]
    tops = [MARGIN + (head.height + MARGIN if head else 0)]
    for row in rows:
        tops.append(tops[-1] + _row_height(row, shown, labels))
    sheet = Image.new("RGB", (width, tops[-1]), PAPER)
    draw = ImageDraw.Draw(sheet)
    if head:
        head.draw(draw, MARGIN, MARGIN)
    for row, top in zip(rows, tops, strict=False):
        _draw_row(sheet, draw, row, top, shown, labels, tile)
    return sheet


def make_table(
    pictures: Sequence[Sequence[Image.Image]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    notes: str = "",
    corner: Image.Image | None = None,
    tile: int | None = None,
) -> Image.Image:
    """Return one picture that shows rows of pictures under the heads of their columns.

    Args:
        pictures: Of each row, one a column.
        rows: What stands beside each row.
        columns: What stands above each column and, where there are many rows, below it too.
        title: Above all of them.
        notes: Smaller, under the title.
        corner: Beside the title.
        tile: Pixels of the side of the square that each picture is fitted into; ``None``: as large
            as keeps the sheet below about 1,800 by 2,600 pixels, from 160 to 512.
    """
    side = tile or max(160, min(512, 1600 // len(columns) - MARGIN, 2400 // len(rows) - MARGIN))
    shown = [[_fitted(picture, side) for picture in row] for row in pictures]
    side = max(MIN_COLUMN, *(picture.width for row in shown for picture in row))
    longest = max(_width(row, TEXT_SIZE) for row in rows)
    beside = min(longest, MAX_BESIDE) + MARGIN if longest else 0
    labels = [_label(row, MAX_BESIDE, TEXT_SIZE) for row in rows]
    heads = [_label(column, side, TEXT_SIZE) for column in columns]
    heights = [
        max(label.height, *(picture.height for picture in row)) + MARGIN
        for label, row in zip(labels, shown, strict=True)
    ]
    across = beside + len(columns) * (side + MARGIN)
    band = _band(title, notes, corner, max(across, MIN_BAND))
    head = max(label.height for label in heads) + MARGIN // 2
    again = head if len(rows) > MANY_ROWS else 0
    height = MARGIN + band.height + head + sum(heights) + again
    sheet = Image.new("RGB", (MARGIN + max(across, MIN_BAND), height), PAPER)
    sheet.paste(band, (MARGIN, MARGIN))
    draw = ImageDraw.Draw(sheet)
    lefts = [MARGIN + beside + place * (side + MARGIN) for place in range(len(columns))]
    tops = [MARGIN + band.height, *([height - again - MARGIN // 2] if again else [])]
    for top in tops:
        for left, label in zip(lefts, heads, strict=True):
            label.draw(draw, left, top)
    top = MARGIN + band.height + head
    for label, row, taken in zip(labels, shown, heights, strict=True):
        label.draw(draw, MARGIN, top + (taken - MARGIN - label.height) // 2)
        for left, picture in zip(lefts, row, strict=True):
            sheet.paste(picture, (left, top))
        top += taken
    return sheet


def _band(title: str, notes: str, corner: Image.Image | None, width: int) -> Image.Image:
    """The title and the notes, with a picture at their left."""
    picture = None if corner is None else _fitted(corner, CORNER)
    left = 0 if picture is None else picture.width + MARGIN
    head = _label(title, width - left - MARGIN, TITLE_SIZE)
    under = _label(notes, width - left - MARGIN, TEXT_SIZE)
    height = max(head.height + MARGIN // 2 + under.height, picture.height if picture else 0)
    band = Image.new("RGB", (width, height + MARGIN), PAPER)
    if picture is not None:
        band.paste(picture, (0, 0))
    draw = ImageDraw.Draw(band)
    head.draw(draw, left, 0)
    under.draw(draw, left, head.height + MARGIN // 2)
    return band


def _width(text: str, size: int) -> int:
    font, text = _font_for(text, size)
    return math.ceil(max((font.getlength(line) for line in text.split("\n")), default=0.0))


def _row_height(row: range, shown: Sequence[Image.Image], labels: Sequence[_Label]) -> int:
    picture = max(shown[place].height for place in row)
    return picture + MARGIN // 2 + max(labels[place].height for place in row) + MARGIN


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    row: range,
    top: int,
    shown: Sequence[Image.Image],
    labels: Sequence[_Label],
    tile: int,
) -> None:
    """Pictures stand on one line, so that their captions start on one."""
    floor = top + max(shown[place].height for place in row)
    for column, place in enumerate(row):
        left = MARGIN + column * (tile + MARGIN)
        picture = shown[place]
        sheet.paste(picture, (left + (tile - picture.width) // 2, floor - picture.height))
        labels[place].draw(draw, left, floor + MARGIN // 2)


def _fitted(picture: Image.Image, tile: int) -> Image.Image:
    longest = max(picture.size)
    if longest <= tile:
        factor = tile // longest
        shape = (picture.width * factor, picture.height * factor)
        return picture.convert("RGB").resize(shape, Image.Resampling.NEAREST)
    shape = (
        max(1, round(picture.width * tile / longest)),
        max(1, round(picture.height * tile / longest)),
    )
    return picture.convert("RGB").resize(shape, Image.Resampling.LANCZOS)


def _label(text: str, width: int, size: int) -> _Label:
    font, text = _font_for(text, size)
    lines = [line for part in text.split("\n") for line in _wrapped(part, width, font)]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], _cut(lines[MAX_LINES - 1], width, font)]
    return _Label(tuple(lines), font, math.ceil(size * 1.3))


def _wrapped(text: str, width: int, font: Font) -> list[str]:
    """Break at spaces, and within a word only where it is wider than a line."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _cut(line: str, width: int, font: Font) -> str:
    while line and font.getlength(f"{line} ...") > width:
        line = line[:-1]
    return f"{line.rstrip()} ..."


def _font_for(text: str, size: int) -> tuple[Font, str]:
    """Return the font with the most letters of a text, and the text spelt with what it has."""
    text = "".join(letter for letter in text if letter == "\n" or letter.isprintable())
    own: Font = ImageFont.load_default(size)
    if all(_has(own, letter) for letter in set(text)):
        return own, text
    others = [font for name in OTHER_FONTS if (font := _found(name, size)) is not None]
    best = max([own, *others], key=lambda font: sum(_has(font, letter) for letter in set(text)))
    return best, "".join(_spelt(best, letter) for letter in text)


def _spelt(font: Font, letter: str) -> str:
    """An accent that cannot be drawn is left away; any other letter becomes a question mark."""
    if _has(font, letter):
        return letter
    bare = unicodedata.normalize("NFKD", letter)[0]
    return bare if _has(font, bare) else "?"


@functools.cache
def _found(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _has(font: Font, letter: str) -> bool:
    """A letter the font lacks is drawn as the one for no letter at all."""
    return letter.isspace() or _drawn(font, letter) != _drawn(font, "\U000f0000")


def _drawn(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
