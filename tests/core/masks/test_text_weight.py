"""How much the prompt sees of a reference whose masks hold in part."""

from __future__ import annotations

import types

import pytest

from refhooks._core.masks.compositing import _text_weight


def masks(*texts):
    """Masks that let the prompt see so much where they hold."""
    return [types.SimpleNamespace(place=place, text=text) for place, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("strengths", "expected"),
    [
        ((0.0, 0.0), 1.0),
        ((1.0, 0.0), 0.0),
        ((0.5, 0.0), 0.5),
        ((0.5, 1.0), 0.25),
        ((0.0, 1.0), 0.5),
    ],
)
def test_masks_multiply_each_as_far_as_it_holds(strengths, expected):
    """A mask that holds by half takes half of what it would take; none is forgotten."""
    assert expected == pytest.approx(_text_weight(strengths, masks(0.0, 0.5)))
