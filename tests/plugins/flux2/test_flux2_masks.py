"""Masks, and the source itself, lie exactly on what a family leaves of a picture that it cuts."""

from __future__ import annotations

import numpy as np
import profiles
import pytest
import torch
from diffusers.pipelines.flux2.image_processor import Flux2ImageProcessor

import refhooks as rh
from refhooks import testing
from refhooks.pictures import Cut

WIDE = (83, 90)  # of which 80x88 are left: the first column and the first row are cut off
LEFT = (1, 1, 81, 89)
OWN = {"height": None, "width": None, "steps": 2}


def both(unguided, given, moved, **options):
    """Latents of an edit of a picture that is cut, and of one that was cut before."""
    picture = testing.picture(0, WIDE)
    return [
        unguided.edit([one], **{**OWN, **call, **options}).latents
        for one, call in ((picture, given), (picture.crop(LEFT), moved))
    ]


@pytest.mark.parametrize("kind", ["content", "region"])
def test_a_mask_lies_where_it_would_on_a_picture_that_was_cut_before(unguided, kind):
    """To the bit: a token's edge on the one is a token's edge on the other."""
    given, moved = (
        {"strategy": rh.Strategy("default", masks=[rh.mask(box=box, kind=kind)])}
        for box in ("9,17,32,32", "8,16,32,32")
    )

    cut, before = both(unguided, given, moved)

    assert torch.equal(cut, before)


def test_a_mask_beside_a_token_is_another_one(unguided):
    """One pixel is not passed over."""
    given, moved = (
        {"strategy": rh.Stage(rh.method("cross_attn"), 1.0), "edit_mask": rh.mask(box=box)}
        for box in ("8,16,32,32", "8,16,32,32")
    )

    cut, before = both(unguided, given, moved)

    assert not torch.equal(cut, before)


def test_denoise_starts_from_what_is_left(unguided):
    """The source is noised as it would be if it had been cut before."""
    cut, before = both(unguided, {}, {}, denoise=0.5)

    assert torch.equal(cut, before)


@pytest.mark.filterwarnings("error")
def test_an_edit_mask_changes_its_own_pixels_alone(unguided):
    """Rows and columns 0 to 38 of what is left are 1 to 39 of the picture; the rest is put back."""
    picture = testing.picture(0, WIDE)

    made = unguided.edit([picture], edit_mask=rh.mask(box="0,0,40,40"), **OWN)

    changed = (np.asarray(made.image) != np.asarray(picture.crop(LEFT))).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 38, 0, 38)
    assert made.advice.measured.outside == 0.0


def test_a_mask_off_the_middle_of_a_reference_is_refused(unguided):
    """What it covers is cut off: nothing of the reference would be left."""
    mask = rh.mask(box="81,0,2,90", kind="content")

    with pytest.raises(rh.InputError, match="no place or part is covered"):
        unguided.edit(
            [testing.picture(0, WIDE)], strategy=rh.Strategy("default", masks=[mask]), **OWN
        )


def test_natively_nothing_is_cut(unguided):
    """The output has every pixel of the picture, and the mask its own."""
    picture = testing.picture(0, WIDE)

    with pytest.warns(rh.RefhooksWarning, match="expect little detail") as told:
        made = unguided.edit(
            [picture], edit_mask=rh.mask(box="0,0,40,40"), **{**OWN, "resolution": "native"}
        )

    changed = (np.asarray(made.image) != np.asarray(picture)).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert (len(told), made.image.size) == (1, WIDE)
    assert (rows.max(), columns.max()) == (39, 39)


@pytest.mark.parametrize("size", [(83, 90), (300, 203), (1000, 90), (64, 64)])
def test_what_is_left_is_what_the_stock_processor_leaves(size):
    """Shrunk where it has more than the area, then cut: the same pixels."""
    area = 128 * 128
    picture = testing.picture(1, size)
    stock = Flux2ImageProcessor(vae_scale_factor=16)
    shrunk = stock._resize_if_exceeds_area(picture, area)
    width, height = (side // 16 * 16 for side in shrunk.size)

    left = Cut(rh.Size(height, width), area).lay(picture)

    expected = stock._resize_and_crop(shrunk, width, height)
    assert np.array_equal(np.asarray(left), np.asarray(expected))


def test_a_cover_is_shrunk_and_cut_as_its_picture_is():
    """A 40x60 picture at an area of 600 is 20x30, of which 16x16 are left from row 2, column 7."""
    cover = torch.zeros(40, 60)
    cover[4:8, 14:20] = 1.0  # rows 2 to 3 and columns 7 to 9 of the shrunk one

    left = Cut(rh.Size(16, 16), 600).spread(cover)

    expected = torch.zeros(16, 16)
    expected[0:2, 0:3] = 1.0
    assert torch.equal(left, expected)


def test_colours_that_srgb_has_not_are_put_back_where_they_were(unguided):
    """A source with a profile of its own is cut as well before its pixels come back."""
    picture = testing.picture(0, WIDE)
    picture.info["icc_profile"] = profiles.WIDE["Display P3"]

    made = unguided.edit([picture], edit_mask=rh.mask(box="0,0,8,8"), **OWN)

    kept = np.asarray(made.image)[40:, 40:]
    assert np.array_equal(kept, np.asarray(picture.crop(LEFT))[40:, 40:])
