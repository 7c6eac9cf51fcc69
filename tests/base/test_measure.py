"""What is measured of two pictures."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from refhooks._base.measures import difference, edge_overlap, similarity


def scene(left=20, size=(64, 64), scale=1):
    """A square on grey."""
    picture = Image.new("RGB", size, (90, 90, 90))
    ImageDraw.Draw(picture).rectangle((left, 20, left + 20 * scale, 20 + 20 * scale), "white")
    return picture


def test_equal_pictures_are_equal():
    """By every measure."""
    assert difference(scene(), scene()).max() == 0.0
    assert similarity(scene(), scene()) == pytest.approx(1.0)
    assert edge_overlap(scene(), scene()) == 1.0


def test_the_difference_is_that_of_the_channel_that_changed_most():
    """In sRGB, 0–1."""
    one, other = Image.new("RGB", (2, 2), (10, 20, 30)), Image.new("RGB", (2, 2), (10, 71, 40))
    assert difference(one, other).tolist() == [[pytest.approx(0.2)] * 2] * 2


def test_the_similarity_of_plain_pictures_is_that_of_their_means():
    """Wang and others, 2004, equation 6."""
    one, other = Image.new("RGB", (32, 32), (51,) * 3), Image.new("RGB", (32, 32), (102,) * 3)
    expected = (2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4)
    assert similarity(one, other) == pytest.approx(expected, abs=1e-6)


def test_edges_may_move_by_a_pixel():
    """Further, and they are lost."""
    assert edge_overlap(scene(20), scene(21)) == 1.0
    assert edge_overlap(scene(20), scene(26)) < 0.7
    assert edge_overlap(scene(20), Image.new("RGB", (64, 64))) == 0.0


def test_edges_do_not_depend_on_contrast():
    """Night keeps them."""
    night = scene().point(lambda value: value // 3)
    assert edge_overlap(scene(), night) == 1.0


def test_large_pictures_are_looked_at_as_small_ones():
    """At about 256 pixels: a pixel's move of 1,024 is none."""
    large = [scene(left, (1024, 1024), 20) for left in (200, 204)]
    assert edge_overlap(*large) == 1.0
    assert similarity(*large) > 0.95
