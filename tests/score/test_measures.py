"""What is measured where something is missing, or is at the end of its scale."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from refhooks import score
from refhooks.score import Pair, Shot, _perceived, measure

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


BY_EYE_DONE = {"done_ciede2000", "done_ssim"}
BY_EYE_KEPT = {"kept_ciede2000", "kept_ssim"}


@pytest.mark.parametrize(
    ("region", "right", "expected"),
    [
        (LEFT[0], WHITE[0], {"done", "copied", "kept"} | BY_EYE_DONE | BY_EYE_KEPT),
        (EVERYWHERE[0], WHITE[0], {"done", "copied", "edges"} | BY_EYE_DONE),
        (LEFT[0], None, {"kept"} | BY_EYE_KEPT),
        (EVERYWHERE[0], None, set()),
        (None, None, set()),
    ],
)
def test_a_measure_is_absent_without_what_it_needs(region, right, expected):
    """Never guessed: edges only where nothing lies outside, kept only where something does."""
    found = measure(shot(region=region, right=right))

    assert {name for name, value in found.items() if value is not None} == expected


def test_without_scikit_image_the_others_are_measured(monkeypatch):
    """The names are not there at all, so that no card has empty columns of them."""
    monkeypatch.setattr(_perceived, "can_measure", lambda: False)

    found = measure(shot(region=LEFT[0], right=WHITE[0]))

    assert set(found) == {"done", "kept", "edges", "copied", "attention"}
    assert found["done"] is not None


def test_colours_differ_by_ciede2000():
    """Black and white by their whole lightness, 100; red and blue by 52.88, not CIE76's 176."""
    assert _perceived.colour_difference(BLACK, WHITE) == pytest.approx(100.0, abs=0.01)
    assert not _perceived.colour_difference(GREY, GREY).any()
    blue, red = BLACK.copy(), BLACK.copy()
    blue[..., 2], red[..., 0] = 255, 255
    assert _perceived.colour_difference(red, blue) == pytest.approx(52.88, abs=0.05)


NOISE = np.random.default_rng(0).integers(0, 256, (3, 1, 24, 24, 3), np.uint8)


def test_done_by_eye_goes_from_the_source_to_the_right_answer():
    """0 is the source, 1 the right answer, and between them there is something between."""
    source, right, other = NOISE
    for done in (_perceived.done_by_colour, _perceived.done_by_structure):
        assert done(right, source, right, LEFT).tolist() == [1.0]
        assert done(source, source, right, LEFT).tolist() == [0.0]
        mixed = ((source.astype(float) + 3.0 * right) / 4.0).astype(np.uint8)
        assert 0.3 < done(mixed, source, right, LEFT)[0] < 0.95
        changed = right.copy()
        changed[:, :, 18:] = other[:, :, 18:]  # beyond the window around the region
        assert done(changed, source, right, LEFT).tolist() == [1.0]
        assert np.isnan(done(source, right, right, LEFT)).all()


def test_kept_by_eye_looks_outside_alone():
    """1: as the source; by colour 0 is as much as without a reference."""
    source, without, other = NOISE
    changed = source.copy()
    changed[:, :, :6] = other[:, :, :6]
    assert _perceived.kept_by_colour(changed, without, source, LEFT).tolist() == [1.0]
    assert _perceived.kept_by_structure(changed, source, LEFT)[0] == pytest.approx(1.0)
    assert _perceived.kept_by_colour(without, without, source, LEFT).tolist() == [0.0]
    assert _perceived.kept_by_structure(other, source, LEFT)[0] < 0.1
    assert np.isnan(_perceived.kept_by_structure(other, source, EVERYWHERE)).all()
    assert np.isnan(_perceived.structure(source[:, :8], source[:, :8])).all()
