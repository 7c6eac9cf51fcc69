"""The report's measures."""

from __future__ import annotations

import numpy as np
import pytest

from refhooks import score as measures
from refhooks_toy import HELD_OUT, make_pairs


@pytest.fixture(scope="module")
def pairs():
    """Draw eight swaps."""
    return make_pairs("object-swap", range(HELD_OUT, HELD_OUT + 8))


def test_the_right_answer_is_done_and_kept(pairs) -> None:
    """A perfect result scores 1 in both."""
    without = 255 - pairs.source
    assert (
        measures.edit_done(pairs.right, pairs.source, pairs.right, pairs.mask).tolist() == [1.0] * 8
    )
    assert measures.kept(pairs.right, without, pairs.source, pairs.mask).min() > 0.99


def test_the_source_is_not_done(pairs) -> None:
    """An unchanged picture scores 0."""
    done = measures.edit_done(pairs.source, pairs.source, pairs.right, pairs.mask)
    assert done.tolist() == [0.0] * 8


def test_no_reference_keeps_nothing(pairs) -> None:
    """The result without a reference is the zero of the scale."""
    without = 255 - pairs.source
    assert measures.kept(without, without, pairs.source, pairs.mask).tolist() == [0.0] * 8


def test_edges_tell_pictures_apart(pairs) -> None:
    """The same picture has the same edges; another has others."""
    assert measures.edges_kept(pairs.right, pairs.right).tolist() == [1.0] * 8
    assert measures.edges_kept(np.roll(pairs.right, 9, axis=2), pairs.right).max() < 0.8


def test_psnr_of_a_known_error() -> None:
    """An error of a tenth everywhere is 20 dB."""
    black = np.zeros((1, 16, 16, 3), np.uint8)
    assert measures.psnr(black + np.uint8(25), black)[0] == pytest.approx(20.17, abs=0.01)


def test_ssim_falls_with_blur(pairs) -> None:
    """It is 1 for the same picture, and less for a blurred one."""
    blurred = (pairs.right.astype(int) + np.roll(pairs.right, 1, axis=1)) // 2
    assert measures.ssim(pairs.right, pairs.right).min() == pytest.approx(1)
    assert measures.ssim(blurred.astype(np.uint8), pairs.right).max() < 0.99


def test_an_interval_holds_its_mean_and_narrows() -> None:
    """More scenes, a narrower interval."""
    values = np.random.default_rng(0).random(400)
    few, many = measures.interval(values[:25]), measures.interval(values)
    assert many.low < many.mean < many.high
    assert many.high - many.low < few.high - few.low
