"""Masks, and the source itself, lie exactly on what FLUX.3 makes of a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small3 import Small

import refhooks as rh
from refhooks import testing

WIDE = (70, 81)  # alone it stands amid 72x84, from column 1 and row 1 on
OWN = {"height": None, "width": None, "steps": 2}


@pytest.fixture(scope="module")
def small():
    """A guided one."""
    return Small()


def laid(small, picture, size):
    """The picture as the blocks make it, and the box of its own in it."""
    return small.editor.family.cut(rh.Size(picture.height, picture.width), size).lay(picture)


@pytest.mark.parametrize("size", [(70, 81), (64, 112), (50, 200), (9, 40), (3000, 2000)])
@pytest.mark.parametrize("mode", ["fill", "crop"])
def test_it_is_what_the_stock_processor_makes(small, size, mode):
    """Filled up where a picture is alone, cut where it is one of several."""
    family, picture = small.editor.family, testing.picture(0, size)
    own = family.whole_size(picture) if mode == "fill" else family.cut_size(picture)
    if own is None or own == rh.Size(picture.height, picture.width):
        pytest.skip("nothing is left of it, or all")
    stock = small.pipe.image_processor.preprocess(picture, resize_mode=mode)[0]

    made = torch.from_numpy(np.asarray(laid(small, picture, own)).copy())

    shown = ((stock[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
    assert torch.equal(shown, made)


@pytest.mark.parametrize("kind", ["content", "region"])
def test_a_mask_lies_where_it_would_on_a_picture_that_was_filled_before(small, kind):
    """To the bit: a token's edge on the one is a token's edge on the other."""
    picture = testing.picture(0, WIDE)
    before = laid(small, picture, small.editor.family.whole_size(picture))
    given, moved = (
        small.edit(
            [one], strategy=rh.Strategy("default", masks=[rh.mask(box=box, kind=kind)]), **OWN
        )
        for one, box in ((picture, "7,7,32,32"), (before, "8,8,32,32"))
    )

    assert torch.equal(given.latents, moved.latents)


def test_an_edit_mask_changes_its_own_pixels_alone(small):
    """Those of the picture that it covers; the others are the picture amid its reflection."""
    picture = testing.picture(0, WIDE)
    before = np.asarray(laid(small, picture, small.editor.family.whole_size(picture)))

    made = np.asarray(small.edit([picture], edit_mask=rh.mask(box="7,7,32,32"), **OWN).image)

    rows, columns = np.nonzero((made != before).any(axis=-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 39, 8, 39)
