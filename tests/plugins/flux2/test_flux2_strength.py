"""Strength on the klein that keeps keys and values; of all families: `plugins/families`."""

from __future__ import annotations

import pytest
from small2 import rgb

import refhooks as rh
from refhooks_cross_attn import CrossAttn
from refhooks_flux2._shape import kv_shape


def latents(kept, strategy, pictures=None, **options):
    """Of an edit with one strategy for its first picture."""
    return kept.edit(pictures or rgb(1), strategy=strategy, **options).latents


@pytest.mark.parametrize(
    "strategy",
    [
        None,
        rh.Stage("cross_attn", rh.schedule("linear", start=0.4, end=1.0)),
        rh.Strategy(
            rh.Stage("cross_attn", 0.7), masks=[rh.mask(box="0,0,50%,100%", kind="region")]
        ),
        rh.Stage(CrossAttn(softmax="separate"), 0.5),
        rh.Stage(CrossAttn(reuse="once"), 0.5),
    ],
    ids=["none", "schedule", "region", "separate", "reuse"],
)
def test_keys_and_values_are_computed_once_a_run(kept, computed, strategy):
    """However strength, schedule and region masks change over the steps."""
    latents(kept, strategy, rgb(2), steps=6)

    assert set(computed) == {1}


def test_scaled_latents_are_computed_for_each_strength(kept, computed):
    """As default scales them; a strength of 0 leaves the references out."""
    strategy = rh.Stage("default", rh.schedule("steps", values=[0.4, 0.4, 0.8]))

    latents(kept, strategy, steps=6)

    assert max(computed) == 2
    plan = rh.plan(strategy, steps=6, editor=kept.editor)
    assert "computes references anew where its strength changes, 2 times" in str(plan)


def test_what_keeping_saves():
    """By operations, klein 9B, 4 steps, 1 to 4 references of 1 MP each."""
    saved = [
        1.0 / rh.cost([rh.Reference("")] * count, 4, shape=kv_shape(None)).over_unkept
        for count in (1, 2, 3, 4)
    ]

    assert saved == pytest.approx([1.49, 1.85, 2.12, 2.34], abs=0.01)
