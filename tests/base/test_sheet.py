"""Sheets: sizes, places and captions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageChops

from refhooks import InputError
from refhooks._base import contact_sheets
from refhooks._base.contact_sheets import MARGIN, make_sheet

RED, BLUE = Image.new("RGB", (10, 10), "red"), Image.new("RGB", (10, 5), "blue")


def box_of(sheet, colour):
    """Where a colour is in a picture."""
    return ImageChops.invert(
        ImageChops.difference(sheet, Image.new("RGB", sheet.size, colour))
        .convert("L")
        .point(lambda value: 255 if value else 0)
    ).getbbox()


def has_ink(sheet, box):
    """Whether anything is drawn there."""
    return bool((np.asarray(sheet.crop(box)) < 128).any())


def test_small_pictures_are_enlarged_by_a_whole_factor():
    """100 pixels of a tile hold 10 pixels ten times; pictures stand on one line."""
    sheet = make_sheet([RED, BLUE], ["a", "b"], tile=105)
    assert box_of(sheet, "red") == (18, 16, 118, 116)
    assert box_of(sheet, "blue") == (139, 66, 239, 116)
    assert sheet.width == 2 * 105 + 3 * MARGIN


def test_large_pictures_are_made_smaller():
    """Their shape is kept."""
    sheet = make_sheet([BLUE.resize((1000, 500))], ["a"], tile=100)
    assert box_of(sheet, "blue") == (16, 16, 116, 66)


def test_a_picture_longer_than_64_tiles_still_has_a_side():
    """At least one pixel."""
    make_sheet([Image.new("RGB", (6400, 1))], ["a"], tile=32)


def test_captions_and_title_are_drawn():
    """The title above all, a caption under its own picture."""
    bare = make_sheet([RED, BLUE], ["", "here"], tile=100)
    under_first, under_second = (16, 118, 116, bare.height), (132, 118, 232, bare.height)
    assert not has_ink(bare, under_first)
    assert has_ink(bare, under_second)
    titled = make_sheet([RED, BLUE], ["", ""], title="make it night", tile=100)
    assert has_ink(titled, (16, 16, 232, box_of(titled, "red")[1]))


def test_rows_have_room_for_their_longest_caption():
    """A long caption moves the next row down, not into it."""
    words = "a caption of many words " * 4
    short = make_sheet([RED, RED], ["x", "x"], columns=1, tile=100)
    long = make_sheet([RED, RED], [words, "x"], columns=1, tile=100)
    assert long.width == short.width == 100 + 2 * MARGIN
    assert long.height > short.height + 3 * 18


@pytest.mark.parametrize("text", ["word " * 40, "x" * 300, "a\nb", "", "   "])
def test_no_line_is_wider_than_its_tile(text):
    """Words are broken only where they are wider than a line; too many lines are cut."""
    label = contact_sheets._label(text, 120, 18)
    assert all(label.font.getlength(line) <= 120 for line in label.lines)
    assert len(label.lines) <= contact_sheets.MAX_LINES


def test_a_text_that_is_cut_says_so():
    """With three dots."""
    assert contact_sheets._label("word " * 200, 120, 18).lines[-1].endswith(" ...")


def test_a_line_break_is_kept():
    """Captions have more than one line."""
    assert contact_sheets._label("one\ntwo", 200, 18).lines == ("one", "two")


@pytest.mark.parametrize(
    ("text", "spelt"),
    [("grün", "grun"), ("naïve → 中文", "naive ? ??"), ("plain", "plain"), ("a\x1b[1m", "a[1m")],
)
def test_letters_that_no_font_has_are_spelt_otherwise(monkeypatch, text, spelt):
    """A box for a letter says nothing."""
    monkeypatch.setattr(contact_sheets, "OTHER_FONTS", ())
    assert contact_sheets._label(text, 400, 18).lines == (spelt,)


@pytest.mark.parametrize("captions", [[], ["a"], ["a", "b", "c"]])
def test_there_is_one_caption_a_picture(captions):
    """And at least one picture."""
    with pytest.raises(InputError, match="one caption a picture"):
        make_sheet([RED, BLUE] if captions else [], captions)
