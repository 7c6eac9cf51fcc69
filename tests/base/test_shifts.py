"""Shifts with a known right answer, on scenes that are drawn."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from PIL import Image

import refhooks as rh
from refhooks._base.shift import Shift
from refhooks._base.shifts import measure_shift, moved_back
from refhooks_toy import make_pairs

SHIFTS = [
    (0.0, 0.0, 1.0), (0.3, 0.0, 1.0), (0.0, -0.3, 1.0), (0.7, -0.3, 1.0), (3.2, 0.7, 1.0),
    (-3.2, 3.2, 1.0), (0.0, 0.0, 1.01), (0.0, 0.0, 0.98), (0.7, 0.3, 1.01), (3.2, -0.7, 0.98),
]  # fmt: skip
EDITED = ["add-elements", "color-change", "remove-elements", "lighting-change", "expression-change"]


@pytest.fixture(scope="module")
def scenes():
    """Sources and right answers of some kinds of edit, 64x64, four each."""
    return {kind: make_pairs(kind, range(500, 504)) for kind in (*EDITED, "background-swap")}


def moved(pixels, x, y, scale):
    """A picture that lies ``x`` to the right and ``y`` below, zoomed about its middle."""
    from skimage.transform import warp

    middle = np.array([(pixels.shape[1] - 1) / 2, (pixels.shape[0] - 1) / 2])
    offset = middle - (middle + np.array([x, y])) / scale
    matrix = np.array([[1 / scale, 0, offset[0]], [0, 1 / scale, offset[1]], [0, 0, 1]])
    values = warp(pixels / 255.0, matrix, order=3, mode="edge").clip(0, 1)
    return Image.fromarray((values * 255).round().astype(np.uint8))


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_moved_picture_is_measured_to_a_tenth_of_a_pixel(scenes, shift):
    """Translation, scale and both."""
    for pairs in scenes.values():
        found = measure_shift(Image.fromarray(pairs.source[0]), moved(pairs.source[0], *shift))
        assert (found.x, found.y) == pytest.approx(shift[:2], abs=0.1)
        assert 32 * found.scale == pytest.approx(32 * shift[2], abs=0.1)
        assert found.confidence > 0.9
        assert found.error < 0.1
        if shift != (0.0, 0.0, 1.01):  # whose corners are off by almost half a pixel
            assert found.noticed == (shift in SHIFTS[3:6] + SHIFTS[7:])


@pytest.mark.parametrize("kind", EDITED)
def test_an_edit_does_not_count_as_a_shift(scenes, kind):
    """What was added, removed or recoloured is another thing; the rest tells where it lies."""
    pairs, shift = scenes[kind], (1.3, -0.7, 1.01)
    for source, right in zip(pairs.source, pairs.right, strict=True):
        still = measure_shift(Image.fromarray(source), Image.fromarray(right))
        found = measure_shift(Image.fromarray(source), moved(right, *shift))
        assert not still.noticed
        assert (found.x, found.y) == pytest.approx(shift[:2], abs=0.15)
        assert 32 * found.scale == pytest.approx(32 * shift[2], abs=0.2)


def test_unrelated_pictures_cannot_be_measured(scenes):
    """No number is better than nonsense; it says why."""
    pictures = [pairs.source[number] for pairs in scenes.values() for number in (0, 3)]
    for place, source in enumerate(pictures):
        other = pictures[(place + 3) % len(pictures)]
        found = measure_shift(Image.fromarray(source), Image.fromarray(other))
        assert (found.measured, found.noticed) == (False, False)
        assert (found.x, found.y, found.scale, found.error, found.most) == (None,) * 5
        assert str(found).startswith("shift: cannot be measured: ")
        assert found.reason


def noise(seed, size=(64, 64)):
    """A picture of nothing."""
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("source", "result"),
    [
        (noise(0), noise(1)),
        (noise(0), Image.new("RGB", (64, 64), (90, 90, 90))),
        (Image.new("RGB", (64, 64)), Image.new("RGB", (64, 64))),
        (noise(0, (5, 7)), noise(0, (5, 7))),
        (noise(0, (300, 9)), noise(0, (300, 9))),
    ],
    ids=["noise", "flat result", "flat", "tiny", "narrow"],
)  # fmt: skip
def test_what_has_nothing_to_go_by_cannot_be_measured(source, result):
    """Noise, flat and tiny pictures."""
    assert not measure_shift(source, result).measured


def test_pixels_are_those_of_the_source(scenes):
    """Also where the result is smaller, or larger, and stretched."""
    source = Image.fromarray(scenes["color-change"].source[0]).resize((384, 256))
    result = moved(np.asarray(source), 6.0, -3.0, 1.0)
    for size in ((384, 256), (192, 128), (200, 200), (768, 512)):
        found = measure_shift(source, result.resize(size, Image.Resampling.LANCZOS))
        assert (found.x, found.y) == pytest.approx((6.0, -3.0), abs=0.3)
        assert found.most == pytest.approx(np.hypot(6, 3), abs=0.5)
        assert found.grain == 384 / size[0]


def test_half_a_pixel_is_one_of_the_coarser_picture():
    """A small result cannot be off by less than it can show."""
    assert Shift(0.6, 0.0, 1.0, 1.0, 0.1, 0.6).noticed
    assert not Shift(0.6, 0.0, 1.0, 1.0, 0.1, 0.6, grain=2.0).noticed


@pytest.mark.parametrize("shift", [(1.3, -0.7, 1.01), (-3.2, 2.1, 0.98)])
def test_a_shift_is_undone(scenes, shift):
    """Inside of the strip that is not there, what is left is what interpolation does."""
    pixels = np.asarray(Image.fromarray(scenes["color-change"].source[0]).resize((256, 256)))
    source, result = Image.fromarray(pixels), moved(pixels, *shift)

    back = moved_back(np.asarray(result) / 255.0, measure_shift(source, result), 256)

    inner = (slice(12, -12), slice(12, -12))
    before = np.abs(np.asarray(result).astype(float) - pixels)[inner].mean()
    after = np.abs(255 * back - pixels)[inner].mean()
    assert after < before / 5


def test_its_edges_are_repeated(scenes):
    """Where the picture ends inside of its frame."""
    pixels = scenes["color-change"].source[0] / 255.0

    back = moved_back(pixels, Shift(-3.0, 0.0, 1.0, 1.0, 0.1, 3.0), 64)

    assert np.allclose(back[:, 3:], pixels[:, :-3])
    assert np.allclose(back[:, :3], pixels[:, :1])


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    """What to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(rh.InputError, match=r"pip install 'refhooks\[measure\]'"):
        measure_shift(noise(0), noise(0))
