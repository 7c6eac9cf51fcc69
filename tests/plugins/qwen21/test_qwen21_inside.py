"""``compute="inside"`` on Qwen-Image 2.1: a part of the target beside the whole prefix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small21 import rgb

import refhooks as rh

BOX = "0,0,25%,25%"
METHODS = [
    "default",
    rh.Stage("cross_attn", 0.6),
    rh.Stage(rh.method("cross_attn", scope="all"), 0.6),
]


@pytest.mark.parametrize("strategy", METHODS, ids=str)
def test_with_all_tokens_kept_it_is_the_full_run(small, strategy):
    """To the bit."""
    whole, near = (
        small.edit(rgb(2), strategy=strategy, cfg=3.0, edit_mask=BOX, compute=compute)
        for compute in ("all", rh.Inside(halo=64))
    )
    assert torch.equal(whole.latents, near.latents)
    assert np.array_equal(np.asarray(whole.image), np.asarray(near.image))


class All:
    """Names every token of the target, so that the way of a part is taken."""

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        import attrs

        keep = torch.arange(inputs.target.shape[1])
        return attrs.evolve(inputs, keep=keep)


@pytest.mark.parametrize("strategy", METHODS, ids=str)
def test_positions_stay(small, strategy):
    """Every token named is the whole target, to the bit: nothing but which are there counts."""
    named = small.edit(rgb(2), strategy=strategy, cfg=3.0, plugins=[All()]).latents
    assert torch.equal(named, small.edit(rgb(2), strategy=strategy, cfg=3.0).latents)


@pytest.mark.parametrize("strategy", METHODS, ids=str)
def test_a_part_is_computed(small, strategy):
    """What is outside goes to the source; what is inside is another picture than with all."""
    options = {"strategy": strategy, "edit_mask": BOX, "cfg": 3.0}
    whole = small.edit(rgb(2), **options)
    part = small.edit(rgb(2), compute="inside", check="eager", **options)

    changed = (whole.latents != part.latents).any(dim=-1)[0]
    assert 0 < int(changed.sum()) <= len(changed) // 4
    assert (whole.latents - part.latents).abs().max() < 2.0


def test_what_cannot_be_counted_is_told(small):
    """The stock model counts in fours."""

    class Three:
        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            import attrs

            return attrs.evolve(inputs, keep=torch.arange(3))

    with pytest.raises(rh.HookReturnError, match="keep names 3 tokens of the target"):
        small.edit(rgb(1), plugins=[Three()])


def test_reuse_is_refused(small):
    """The model keeps text and references itself, and exactly."""
    with pytest.raises(rh.InputError, match="keeps the keys and values of references itself"):
        small.edit(rgb(1), edit_mask=BOX, compute=rh.Inside(reuse=2))
