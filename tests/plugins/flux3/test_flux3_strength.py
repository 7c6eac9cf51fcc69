"""Every method, mask, schedule and switch acts on FLUX.3."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from small3 import KINDS, SIDE, Small, rgb

import refhooks as rh
from refhooks import testing
from refhooks_cross_attn import CrossAttn
from refhooks_default import Default


def latents(small, strategy, pictures=None, **options):
    """Of an edit with one strategy for its first picture."""
    return small.edit(
        [testing.picture(0, (SIDE, SIDE))] if pictures is None else pictures,
        strategy=strategy,
        **options,
    ).latents


def half(kind, **options):
    """A mask of the left half of the first picture."""
    width, height = SIDE, SIDE
    picture = Image.new("L", (width, height), 0)
    picture.paste(255, (0, 0, width // 2, height))
    return rh.mask(picture, kind=kind, **options)


@pytest.mark.parametrize("method", ["default", "cross_attn", "inject", "guidance"])
def test_strength_0_is_no_picture(small, method):
    """Two pictures give one result, to the bit."""
    stage = rh.Stage(method, 0.0)

    one, other = (latents(small, stage, [picture]) for picture in (rgb(1)[0], rgb(5)[4]))

    assert torch.equal(one, other)


@pytest.mark.parametrize("method", ["default", "cross_attn"])
def test_strength_1_is_the_stock_pipeline(small, method):
    """To the bit."""
    assert torch.equal(latents(small, None), latents(small, rh.Stage(method, 1.0)))


def test_the_distance_from_0_grows(small):
    """Over 0, .25, .5, 1, 1.5, 2."""
    none = latents(small, rh.Stage("cross_attn", 0.0))
    with pytest.warns(rh.RefhooksWarning, match="above 1.5"):
        far = [
            float((latents(small, rh.Stage("cross_attn", strength)) - none).norm())
            for strength in (0.05, 0.25, 0.5, 1.0, 1.5, 2.0)
        ]

    assert far == sorted(far)
    assert far[0] < 0.5 * far[3]


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
    whole = rh.mask(Image.new("L", (SIDE, SIDE), 255), kind="content")

    with pytest.warns(rh.RefhooksWarning, match="white all over"):
        kept = latents(small, rh.Strategy(rh.Stage("default"), masks=[whole]))

    assert torch.equal(kept, latents(small, None))


def test_shares_are_recorded(small):
    """Of every block, of two streams and of one; recording changes nothing."""
    plain, recorded = (small.edit(rgb(2), record_attention=on) for on in (False, True))

    assert torch.equal(plain.latents, recorded.latents)
    shares = recorded.attention_shares
    assert shares.shape == (3, 2, 3, 1)
    torch.testing.assert_close(shares.sum(dim=2), torch.ones(3, 2, 1))


def test_keys_of_an_earlier_step_are_nearer_than_none(small):
    """Kept from the first step, of the references' own blocks as well; the model is as before."""
    stage = rh.Stage("cross_attn", 0.5)
    reused = latents(small, rh.Stage(CrossAttn(reuse="once"), 0.5))

    assert bool(torch.isfinite(reused).all())
    assert torch.equal(latents(small, stage), latents(small, stage))
    none = latents(small, rh.Stage("cross_attn", 0.0))
    assert float((reused - latents(small, stage)).norm()) < float((none - reused).norm())


class Scaling:
    """Changes the values of text and target in one block alone."""

    def __init__(self, block, blocks=2, **edit):
        self.scale = torch.ones(blocks, 1)
        self.scale[block] = 1.5
        self.edit = edit

    @rh.hookimpl
    def refhooks_attention(self):
        """An edit of the group of both."""
        return [rh.AttentionEdit("base", **(self.edit or {"value_scale": self.scale}))]


@pytest.mark.parametrize("block", [0, 1])
def test_what_acts_on_text_and_target_does_in_every_block(small, block):
    """Also in those where each is alone."""
    scaled = latents(small, None, plugins=[Scaling(block)])

    assert not torch.equal(scaled, latents(small, None))


def test_keys_of_text_and_target_are_not_kept(small):
    """They have streams of their own; said at the first step."""
    shape = (2, 1, 80 + 256, 2, 16)
    store = rh.KeyValues(torch.zeros(shape), torch.zeros(shape))

    with pytest.raises(rh.PluginError, match=r"streams of their own.*group 'base'"):
        latents(small, None, plugins=[Scaling(0, store=store)])


def test_an_edit_beside_a_stock_call_in_a_callback(small):
    """The stock pipeline called meanwhile has the stock attention."""
    expected, seen = small.stock(rgb(1), num_inference_steps=1)[0], []

    def between(*_):
        seen.append(small.pipe.transformer is not None)

    small.edit(rgb(1), strategy=rh.Stage("cross_attn", 0.5), callback=between)

    assert len(seen) == 3
    assert torch.equal(small.stock(rgb(1), num_inference_steps=1)[0], expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", ["image_cond", "joint"])
def test_foreign_attention_is_refused_before_anything_is_encoded(kind, stream, monkeypatch):
    """In any block, with what works instead."""
    small = Small(**KINDS[kind])
    transformer = small.pipe.transformer
    joint = transformer.single_transformer_blocks
    module = (joint if stream == "joint" else transformer.mode_blocks[stream])[0].attn

    class Other(type(module.processor)):
        pass

    module.set_processor(Other())
    monkeypatch.setattr(small.pipe.text_encoder, "forward", lambda **_: pytest.fail("encoded"))

    with pytest.raises(rh.InputError, match=r"cross_attn.*Other.*What works"):
        small.edit(rgb(1), strategy=rh.Stage("cross_attn", 0.5))


def test_other_references_are_weighed_in_their_own_blocks(small):
    """At a strength next to 0 a second picture is as good as absent for the first one too."""
    pictures = rgb(2)
    second = [
        small.edit(pictures[:1], references=[rh.Reference(pictures[1], rh.Stage(*way))]).latents
        for way in (("cross_attn", 1e-6), ("cross_attn", 0.0), ("cross_attn", 1.0))
    ]

    torch.testing.assert_close(second[0], second[1], atol=1e-4, rtol=0)
    assert float((second[1] - second[2]).abs().max()) > 1e-3
