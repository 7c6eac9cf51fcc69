"""Every method, mask, schedule and switch acts on FLUX.2."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from small2 import KINDS, SIZES, rgb

import refhooks as rh
from refhooks_cross_attn import CrossAttn
from refhooks_default import Default
from refhooks_flux2._shape import kv_shape


def latents(small, strategy, pictures=None, **options):
    """Of an edit with one strategy for its first picture."""
    return small.edit(
        rgb(1) if pictures is None else pictures, strategy=strategy, **options
    ).latents


def half(kind, **options):
    """A mask of the left half of the first picture."""
    width, height = SIZES[0]
    picture = Image.new("L", (width, height), 0)
    picture.paste(255, (0, 0, width // 2, height))
    return rh.mask(picture, kind=kind, **options)


def test_the_distance_from_0_grows(small):
    """Over 0, .25, .5, 1, 1.5, 2."""
    none = latents(small, rh.Stage("cross_attn", 0.0))
    with pytest.warns(rh.RefhooksWarning, match="above 1.5"):
        far = [
            float((latents(small, rh.Stage("cross_attn", strength)) - none).norm())
            for strength in (0.05, 0.25, 0.5, 1.0, 1.5, 2.0)
        ]

    assert far == sorted(far)
    assert far[0] < 0.3 * far[3]


@pytest.mark.parametrize("strength", [0.999999, 1.000001])
def test_the_merged_path_is_stock_at_weight_1(small, strength):
    """Merged by log-sum-exp, with a weight next to 1."""
    near = latents(small, rh.Stage("cross_attn", strength))

    torch.testing.assert_close(near, latents(small, None), atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    "strategy",
    [
        rh.Stage("inject", 0.5),
        rh.Stage("guidance", 1.4),
        rh.Stage(CrossAttn(softmax="separate"), 0.5),
        rh.Stage(CrossAttn(gain="keys"), 0.5),
        rh.Stage(CrossAttn(layers=(0.0, 1.0)), 0.5),
        rh.Stage(Default(positions="same"), 1.0),
        rh.Stage(Default(positions="offset"), 1.0),
        rh.Strategy(rh.Stage("cross_attn"), masks=[half("content")]),
        rh.Strategy(rh.Stage("cross_attn"), masks=[half("region")]),
        rh.Strategy([rh.Stage("cross_attn", 0.5, until=0.5), rh.Stage("inject", 0.5)]),
    ],
    ids=[
        "inject", "guidance", "separate", "keys", "layers", "same", "offset", "content", "region",
        "switch",
    ],
)  # fmt: skip
def test_everything_acts(small, strategy):
    """Neither the picture left out nor the stock pipeline comes out; and the model is as before."""
    result = latents(small, strategy, steps=4)

    assert bool(torch.isfinite(result).all())
    assert not torch.equal(result, latents(small, None, steps=4))
    assert not torch.equal(result, latents(small, rh.Stage("cross_attn", 0.0), steps=4))


def test_a_content_mask_that_keeps_everything_is_the_stock_pipeline(small):
    """Tokens that stay have their places."""
    whole = rh.mask(Image.new("L", SIZES[0], 255), kind="content")

    with pytest.warns(rh.RefhooksWarning, match="white all over"):
        kept = latents(small, rh.Strategy(rh.Stage("default"), masks=[whole]))

    assert torch.equal(kept, latents(small, None))


@pytest.mark.parametrize(
    "strategy",
    [
        None,
        rh.Stage("cross_attn", rh.schedule("linear", start=0.4, end=1.0)),
        rh.Strategy(rh.Stage("cross_attn", 0.7), masks=[half("region")]),
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


def test_reuse_has_nothing_to_gain_where_keys_are_kept(kept):
    """It gives the same latents to the bit."""
    stage = rh.Stage("cross_attn", 0.5)
    reused = rh.Stage(CrossAttn(reuse="once"), 0.5)

    assert torch.equal(latents(kept, stage), latents(kept, reused))


def test_an_edit_beside_a_stock_call_in_a_callback(small):
    """The stock pipeline called meanwhile has the stock attention."""
    expected, seen = small.stock(rgb(1), num_inference_steps=1)[0], []

    def between(*_):
        seen.append(small.pipe.transformer is not None)

    small.edit(rgb(1), strategy=rh.Stage("cross_attn", 0.5), callback=between)

    assert len(seen) == 3
    assert torch.equal(small.stock(rgb(1), num_inference_steps=1)[0], expected)


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_attention_is_refused_before_anything_is_encoded(kind, monkeypatch):
    """With what works instead."""
    small = KINDS[kind]()
    module = small.pipe.transformer.single_transformer_blocks[0].attn

    class Other(type(module.processor)):
        pass

    module.set_processor(Other())
    monkeypatch.setattr(small.pipe, "encode_prompt", lambda *_, **__: pytest.fail("encoded"))

    with pytest.raises(rh.InputError, match=r"cross_attn.*Other.*What works"):
        small.edit(rgb(1), strategy=rh.Stage("cross_attn", 0.5))
