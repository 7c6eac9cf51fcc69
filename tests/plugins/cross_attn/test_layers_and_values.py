"""Options together: gain="keys" with layers, and scaled values with reuse."""

from __future__ import annotations

import tiny
import torch

import refhooks as rh
from refhooks._attending.blocks import BlockGroup, _key_group


def test_layers_act_alike_with_either_gain(editor):
    """At strength 1 scaled keys change nothing, so that the layers alone act, to the bit."""

    def latents(**options):
        stage = rh.Stage(rh.method("cross_attn", **options), 1.0)
        return editor.edit(tiny.picture(), "blue", strategy=stage, steps=3, seed=1, cfg=2).latents

    chosen = latents(gain="keys", layers="1-1")

    assert torch.equal(latents(layers="1-1"), chosen)
    assert not torch.equal(latents(gain="keys"), chosen)


def test_an_even_gain_is_a_smaller_weight_below_one(editor):
    """``s ** 2.5`` below 1, and the strength itself from there on, to the bit."""

    def latents(strength, **options):
        stage = rh.Stage(rh.method("cross_attn", **options), strength)
        return editor.edit(tiny.picture(), "blue", strategy=stage, steps=3, seed=1, cfg=2).latents

    for even, weight in ((0.0, 0.0), (0.25, 0.25**2.5), (1.0, 1.0), (1.5, 1.5)):
        assert torch.equal(latents(even, gain="even"), latents(weight))
    assert not torch.equal(latents(0.25, gain="even"), latents(0.25))


def test_values_are_stored_as_made_and_scaled_when_read_back():
    """What another step reads is scaled once, by that step."""
    keys, values = torch.randn(1, 3, 2, 4), torch.randn(1, 3, 2, 4)
    kept = torch.zeros(1, 3, 2, 4), torch.zeros(1, 3, 2, 4)
    half = torch.tensor([0.5])
    storing = BlockGroup(1, torch.empty(3, 0), store=((*kept, None),), value_scale=half)
    loading = BlockGroup(1, torch.empty(0, 0), load=kept, value_scale=half)

    made = _key_group(storing, keys, values, slice(0, 3), None)
    again = _key_group(loading, keys[:, :0], values[:, :0], slice(0, 0), None)

    assert torch.equal(values * 0.5, made.values)
    assert torch.equal(values, kept[1])
    assert torch.equal(made.values, again.values)
    assert torch.equal(made.keys, again.keys)
