"""What is measured where something is missing, or is at the end of its scale."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from refhooks import score
from refhooks.score import Pair, Shot, measure

BLACK = np.zeros((1, 24, 24, 3), np.uint8)
WHITE = BLACK + np.uint8(255)
GREY = BLACK + np.uint8(51)
LEFT = np.zeros((1, 24, 24), bool)
LEFT[:, :, :12] = True
EVERYWHERE = np.ones((1, 24, 24), bool)


def test_the_source_is_copied_and_the_right_answer_is_not():
    """1 for the unedited picture, 0 as far from it as the right answer or further."""
    assert score.copied(BLACK, BLACK, GREY, LEFT).tolist() == [1.0]
    assert score.copied(GREY, BLACK, GREY, LEFT).tolist() == [0.0]
    assert score.copied(WHITE, BLACK, GREY, LEFT).tolist() == [0.0]


def test_half_of_the_way():
    """Errors are linear in sRGB: half of the way is half done and half copied."""
    half = BLACK + np.uint8(100)
    right = BLACK + np.uint8(200)
    assert score.edit_done(half, BLACK, right, LEFT)[0] == pytest.approx(0.5)
    assert score.copied(half, BLACK, right, LEFT)[0] == pytest.approx(0.5)
    assert score.kept(half, right, BLACK, LEFT)[0] == pytest.approx(0.5)


def test_what_has_no_scale_is_not_a_number():
    """Nothing outside, or no change to make: there is nothing to compare with."""
    assert np.isnan(score.kept(GREY, WHITE, BLACK, EVERYWHERE)).all()
    assert np.isnan(score.kept(GREY, BLACK, BLACK, LEFT)).all()
    assert np.isnan(score.edit_done(GREY, BLACK, BLACK, LEFT)).all()


def test_the_changed_region_reaches_two_pixels_around():
    """On every side, up to the border; differences of up to 5 of 255 are none."""
    right = BLACK.copy()
    right[0, 1, 10] = 6
    right[0, 20, 20] = 5

    region = score.changed_region(BLACK, right)[0]

    assert np.argwhere(region).min(axis=0).tolist() == [0, 8]
    assert np.argwhere(region).max(axis=0).tolist() == [3, 12]
    assert region.sum() == 4 * 5


def test_pictures_without_an_edge_have_all_edges():
    """F1 of nothing and nothing."""
    assert score.edges_kept(BLACK, GREY).tolist() == [1.0]


def test_ssim_is_the_mean_over_the_colours():
    """A colour that is equal counts for a third; smaller than its window it is undefined."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 24, 24, 3), np.uint8)
    other = noise.copy()
    other[..., 0] = 255 - other[..., 0]
    only = np.repeat(noise[..., :1], 3, axis=-1)

    expected = (2 + score.ssim(255 - only, only)[0]) / 3
    assert score.ssim(other, noise)[0] == pytest.approx(expected)
    assert np.isnan(score.ssim(noise[:, :8], noise[:, :8])).all()


def shot(*, region, right, without=WHITE[0]):
    """A grey result of a black source."""
    return Shot(Pair(Image.fromarray(BLACK[0]), "x"), GREY[0], BLACK[0], right, region, without)


@pytest.mark.parametrize(
    ("region", "right", "expected"),
    [
        (LEFT[0], WHITE[0], {"done", "copied", "kept"}),
        (EVERYWHERE[0], WHITE[0], {"done", "copied", "edges"}),
        (LEFT[0], None, {"kept"}),
        (EVERYWHERE[0], None, set()),
        (None, None, set()),
    ],
)
def test_a_measure_is_absent_without_what_it_needs(region, right, expected):
    """Never guessed: edges only where nothing lies outside, kept only where something does."""
    found = measure(shot(region=region, right=right))

    assert {name for name, value in found.items() if value is not None} == expected
