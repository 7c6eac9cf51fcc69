"""Target and references are joined once a step, and anew whenever anything of them changed."""

from __future__ import annotations

import pytest
import torch

import refhooks as rh
from refhooks.families import Joiner


@pytest.fixture
def given():
    """A target, and the tokens of two references."""
    return torch.zeros(2, 3, 4), [rh.Tokens(torch.ones(1, 5, 4)), rh.Tokens(torch.ones(1, 6, 4))]


def test_equal_inputs_are_joined_once(given):
    """The passes of a step are given the same tensor, also if the values around it are new."""
    joiner, (target, slots) = Joiner(), given

    first = joiner.join(target, slots)

    assert first.shape == (2, 14, 4)
    assert joiner.join(target, [rh.Tokens(tokens.latents) for tokens in slots]) is first
    joiner.clear()
    assert joiner.join(target, slots) is not first


def test_a_change_in_place_is_seen(given):
    """Of the target, and of a reference."""
    joiner, (target, slots) = Joiner(), given
    for changed in (target, slots[1].latents):
        joiner.join(target, slots)
        changed.add_(1.0)

        assert torch.equal(joiner.join(target, slots), Joiner().join(target, slots))


def test_other_tokens_are_seen(given):
    """Another tensor, another choice of tokens, one reference less."""
    joiner, (target, slots) = Joiner(), given
    some = rh.Tokens(slots[0].latents, keep=torch.tensor([0, 2]))

    assert joiner.join(target, slots).shape[1] == 14
    assert joiner.join(target, [some, slots[1]]).shape[1] == 11
    assert joiner.join(target, slots[:1]).shape[1] == 8
    assert joiner.join(target + 1.0, slots[:1])[0, 0, 0] == 1.0


def test_inference_tensors_are_always_joined_anew():
    """They do not tell whether they changed."""
    joiner = Joiner()
    with torch.inference_mode():
        target, slots = torch.zeros(1, 3, 4), [rh.Tokens(torch.ones(1, 5, 4))]
        first = joiner.join(target, slots)
        target.add_(1.0)

        assert not torch.equal(joiner.join(target, slots), first)
