"""An edit mask and ``denoise`` beside klein's stock inpaint pipeline, as docs/denoise.md says."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from places import BENCHMARKS

from refhooks import testing

sys.path.insert(0, str(BENCHMARKS))

import denoise

PICTURE = testing.picture(0, denoise.SQUARE)
SIDE = 64


@pytest.fixture(scope="module")
def klein():
    """A tiny one, edited both ways."""
    return denoise.Klein()


@pytest.mark.parametrize(("steps", "total"), [(4, 8), (2, 4), (4, 5), (3, 5)])
def test_the_same_steps_from_the_same_noise(klein, steps, total):
    """With a mask over everything, what stock makes, to the bit."""
    made = klein.both(PICTURE, SIDE, steps=steps, total=total)

    assert made["ours"][2] == pytest.approx(made["theirs"][2], abs=1e-6)
    assert len(made["ours"][2]) == steps
    assert torch.equal(made["ours"][0], made["theirs"][0])


def test_a_second_picture_is_the_same_reference(klein):
    """Its ``image_reference`` stands on frame 20, and is cut."""
    made = klein.both(PICTURE, SIDE, reference=testing.picture(3, (70, 96)))

    assert torch.equal(made["ours"][0], made["theirs"][0])


def test_a_mask_along_tokens_keeps_the_same_latents(klein):
    """Only the order of operations differs; outside, ours are the source's pixels."""
    made = klein.both(PICTURE, 32)

    (ours, image, _), (theirs, other, _) = made["ours"], made["theirs"]
    source = np.asarray(PICTURE) / 255.0
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert np.abs(image[:, :32] - other[:, :32]).max() <= 0.51 / 255
    assert np.array_equal(image[:, 32:], source[:, 32:])
    assert not np.allclose(other[:, 32:], source[:, 32:], atol=0.1)


def test_a_mask_that_ends_amid_a_token_is_another_one(klein):
    """Ours is free in all of the token, theirs in half of it; both keep the tokens behind it."""
    made = klein.both(PICTURE, 30)

    (ours, image, _), (theirs, _, _) = made["ours"], made["theirs"]
    rows = (ours - theirs).abs().amax(dim=-1).reshape(16, 16)  # tokens of 4x4 pixels
    assert rows[:, 7].min() > 1e-3  # columns 28 to 31, of which 28 and 29 may change
    assert rows[:, 8:].max() <= 1e-6
    assert np.array_equal(image[:, 30:], (np.asarray(PICTURE) / 255.0)[:, 30:])


def test_a_picture_of_another_size_is_cut_and_not_resized(klein):
    """Resized before, as stock resizes a source, it gives the same latents."""
    picture = testing.picture(0, denoise.UNEVEN)
    width, height = (side // 4 * 4 for side in picture.size)
    resized = klein.editor.pipe.image_processor.resize(picture, height, width)

    made = klein.both(picture, picture.width)
    before = klein.both(resized, width)

    assert not torch.allclose(made["ours"][0], made["theirs"][0], atol=1e-2)
    assert torch.equal(before["ours"][0], made["theirs"][0])
