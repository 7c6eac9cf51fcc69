"""Strength, schedules and masks on the exact cache: text and references are computed once."""

from __future__ import annotations

import pytest
import torch
from small21 import Small, rgb

import refhooks as rh
from refhooks import testing

REGION = rh.mask(box="0,0,50%,100%", kind="region")
HALF = rh.mask(box="0,0,50%,100%", kind="content")
ODD = rh.mask(box="0,0,30%,30%", kind="content")
SOFT = rh.mask(box="0,0,50%,100%", kind="content", soft=True)


def distance(one, other):
    """The largest difference of final latents."""
    return float((one.latents - other.latents).abs().max())


class AtOne:
    """Weighs every reference by 1."""

    @rh.hookimpl
    def refhooks_attention(self, layout):
        return [rh.AttentionEdit(slot, weight=torch.ones(())) for slot in range(len(layout.slots))]


class Seen:
    """Keeps what the model predicts at each step."""

    def __init__(self):
        self.velocities = []

    @rh.hookimpl
    def refhooks_velocity(self, velocity):
        self.velocities.append(velocity.clone())


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("count", [1, 10])
def test_merged_attention_at_weight_1_is_the_stock_processor(small, count, cfg):
    """Within 1e-6 of the largest value: what is predicted at a step, and what comes out of 3."""
    plain, merged = Seen(), Seen()
    results = [
        small.edit(rgb(count), cfg=cfg, plugins=plugins) for plugins in ([plain], [merged, AtOne()])
    ]
    one, other = plain.velocities[0], merged.velocities[0]

    assert 0.0 < float((one - other).abs().max()) <= 1e-6 * cfg * float(one.abs().max())
    assert distance(*results) <= 1e-6 * cfg * float(results[0].latents.abs().max())


def test_what_the_merging_rounds_is_all_that_differs():
    """In float64 it is the stock processor to 15 digits, so the groups are the right ones."""
    exact = Small(dtype=torch.float64)
    plain, merged = (exact.edit(rgb(3), plugins=plugins) for plugins in ([], [AtOne()]))

    assert distance(plain, merged) <= 1e-14 * float(plain.latents.abs().max())


@pytest.mark.filterwarnings("ignore:.*artifacts are likely:refhooks.RefhooksWarning")
def test_the_distance_from_0_grows_with_strength(small, prefixes):
    """Over .25, .5, 1, 1.5 and 2, in one step, for the same prefix."""
    near, *steps = (
        small.edit(rgb(2), steps=1, strategy=rh.Stage("cross_attn", strength))
        for strength in (1e-6, 0.25, 0.5, 0.99999, 1.5, 2.0)
    )
    grown = [float((step.latents - near.latents).norm()) for step in steps]

    assert grown == sorted(grown)
    assert grown[0] > 1e-3
    assert prefixes == [{"cond": 1}] * 6


@pytest.mark.parametrize(
    "strategy",
    [
        rh.Stage("cross_attn", "0.4:1.0"),
        rh.Stage("cross_attn", "1.4:0.1"),
        rh.Strategy("default", masks=[REGION]),
        rh.Strategy([rh.Stage("cross_attn", "0.2:1.4")], masks=[REGION, HALF]),
        rh.Strategy([rh.Stage("default", 1.0, until=0.5), rh.Stage("cross_attn", 0.5)]),
        rh.Stage(rh.method("cross_attn", reuse="every 2"), 0.7),
        rh.Stage(rh.method("cross_attn", gain="keys"), "0.4:1.0"),
        rh.Stage(rh.method("cross_attn", softmax="separate"), "0.4:1.0"),
        rh.Stage(rh.method("cross_attn", layers=[0.5, 1.0]), "0.4:1.0"),
        rh.Strategy([rh.Stage("default", 1.0)], masks=[SOFT]),
    ],
)
def test_the_prefix_is_computed_once_a_branch(small, prefixes, strategy):
    """However strength, schedule and region change, it acts, and the model is left as it was."""
    before = [block.attn.processor for block in small.pipe.transformer.transformer_blocks]

    result = small.edit(rgb(2), steps=4, cfg=3.0, strategy=strategy)

    assert prefixes == [{"cond": 1, "uncond": 1}]
    assert distance(result, small.edit(rgb(2), steps=4, cfg=3.0)) > 1e-3
    assert before == [block.attn.processor for block in small.pipe.transformer.transformer_blocks]


def test_the_prefix_is_computed_anew_where_its_tokens_change(small, prefixes):
    """``default`` scales latents: once for each strength. A strength that leaves 0: once more."""
    for strength in ("0.4:1.0", 0.5, rh.schedule("steps", values=[0.3, 0.6])):
        small.edit(rgb(1), steps=4, strategy=rh.Stage("default", strength))
    small.edit(rgb(1), steps=4, strategy=rh.Stage("cross_attn", "0:1.0"))

    assert [count["cond"] for count in prefixes] == [4, 1, 2, 2]


@pytest.mark.parametrize("content", [HALF, ODD])
def test_what_a_content_mask_hides_makes_no_difference(small, content):
    """Also where the tokens that are left are no multiple of four, and prompts are padded."""
    one, other = testing.picture(0, (64, 64)), testing.picture(5, (64, 64))
    shown = (0, 0, 32, 64) if content is HALF else (0, 0, 32, 32)
    other.paste(one.crop(shown), shown[:2])
    strategy = rh.Strategy([rh.Stage("cross_attn", 0.7, until=0.5), "default"], masks=[content])

    latents = [
        small.edit([it], ["make it blue", "b"], steps=2, strategy=strategy).latents
        for it in (one, other)
    ]

    assert torch.equal(*latents)
    assert not torch.equal(latents[0], small.edit([one], ["make it blue", "b"], steps=2).latents)


class KeepsAll:
    """Names every token of a slot as one to keep, and weighs it by 1: our own way to stock."""

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        tokens = inputs.slots[0]
        keep = torch.arange(tokens.latents.shape[1])
        return inputs.fill(0, rh.Tokens(tokens.latents, keep=keep))

    @rh.hookimpl
    def refhooks_attention(self):
        return [rh.AttentionEdit(0, weight=torch.ones(()))]


@pytest.mark.parametrize("prompts", ["make it blue", ["make it blue", "b"]])
def test_dropping_no_token_is_stock(small, prompts):
    """By our own positions, groups and masks of padded prompts, within rounding."""
    latents = small.edit(rgb(2), prompts, plugins=[KeepsAll()]).latents

    assert torch.allclose(
        latents,
        small.stock(rgb(2), prompts, seeds=(1,) * len(latents), num_images_per_prompt=1)[0],
        atol=1e-5,
    )


class DropsOne:
    """Leaves out a token, so that a place of four has to be filled up; ``weighs`` by 1 or not."""

    def __init__(self, weighs):
        self._weighs = weighs

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        tokens = inputs.slots[0]
        keep = torch.arange(1, tokens.latents.shape[1])
        return inputs.fill(0, rh.Tokens(tokens.latents, keep=keep))

    @rh.hookimpl
    def refhooks_attention(self):
        return [rh.AttentionEdit(0, weight=torch.ones(()))] if self._weighs else None


def test_what_fills_up_is_attended_by_nobody(small, monkeypatch):
    """Whatever stands there: it changes nothing, at the first step or a later one."""
    from refhooks_qwen21 import _sequence

    prompts = ["make it blue", "b"]
    plain = [small.edit(rgb(2), prompts, plugins=[DropsOne(w)]).latents for w in (False, True)]
    hidden = _sequence.Sequence21.hidden

    def noisy(self, target):
        whole = hidden(self, target)
        empty = (whole == 0).all(dim=-1, keepdim=True)
        assert empty.any()
        return torch.where(empty, torch.full_like(whole, 7.0), whole)

    monkeypatch.setattr(_sequence.Sequence21, "hidden", noisy)
    other = [small.edit(rgb(2), prompts, plugins=[DropsOne(w)]).latents for w in (False, True)]

    assert torch.equal(plain[0], other[0])
    assert torch.equal(plain[1], other[1])
    assert torch.allclose(plain[0], plain[1], atol=1e-5)


def test_a_region_keeps_what_is_added_to_the_region(small):
    """In one step of one block, what the target's other queries see is without the reference."""

    def shares(strategy):
        result = small.edit(rgb(1), steps=1, strategy=strategy, record_attention=True)
        return float(result.attention_shares[0, 0, 1, 0])

    whole, part = shares("default"), shares(rh.Strategy("default", masks=[REGION]))

    assert 0.3 * whole < part < 0.7 * whole


def test_recorded_shares_sum_to_1_and_change_nothing(small):
    """Text and target together, then each reference."""
    plain, recorded = (small.edit(rgb(2), record_attention=record) for record in (False, True))

    assert recorded.attention_shares.shape == (3, 2, 3, 1)
    assert torch.allclose(recorded.attention_shares.sum(2), torch.ones(3, 2, 1), atol=1e-5)
    assert distance(plain, recorded) < 1e-5


@pytest.mark.parametrize(
    "options",
    [
        {"denoise": 0.5},
        {"edit_mask": rh.mask(box="0,0,50%,50%")},
        {"strategy": rh.Strategy("default", vision="never")},
        {"resolution": 32 * 64, "height": None, "width": None},
    ],
)
def test_what_else_an_edit_takes_acts(small, options):
    """Denoise, an edit mask, a picture that the text encoder is not shown, another size."""
    result, plain = small.edit(rgb(2), **options), small.edit(rgb(2))

    assert torch.isfinite(result.latents).all()
    assert not torch.equal(result.latents, plain.latents)


def test_an_edit_mask_keeps_the_rest_to_the_pixel(small):
    """With its transparency."""
    from PIL import ImageChops
    from small21 import rgba

    source = rgba(1)[0].resize((64, 64))

    result = small.edit([source], edit_mask=rh.mask(box="0,0,50%,100%"))

    outside = (32, 0, 64, 64)
    same = ImageChops.difference(result.image.crop(outside), source.crop(outside))
    assert same.getbbox(alpha_only=False) is None


def test_a_weight_of_text_and_target_is_not_that_of_references(small):
    """All groups weighed alike change nothing; text and target alone change their part."""

    class Alike:
        @rh.hookimpl
        def refhooks_attention(self, layout):
            weight = torch.full((1, layout.length), 0.3)
            return [rh.AttentionEdit(group, weight=weight) for group in ("base", 0, 1)]

    class BaseAlone:
        @rh.hookimpl
        def refhooks_attention(self, layout):
            return [rh.AttentionEdit("base", weight=torch.full((1, layout.length), 0.3))]

    plain, alike, base = (
        small.edit(rgb(2), plugins=plugins) for plugins in ([], [Alike()], [BaseAlone()])
    )

    assert distance(plain, alike) < 1e-5
    assert distance(plain, base) > 1e-3


@pytest.mark.parametrize("positions", ["same", "offset"])
def test_positions_beside_the_text_are_refused(small, positions):
    """References stand within it; nothing is encoded."""
    with pytest.raises(rh.InputError, match="whose references stand within the text"):
        small.edit(rgb(1), strategy=rh.method("default", positions=positions))


def test_a_mask_for_the_text_is_refused(small):
    """What the text saw stays, so how much of a region it is given would do nothing."""
    mask = rh.mask(box="0,0,50%,100%", kind="region", text="area")

    with pytest.raises(rh.InputError, match="text='area' of a region mask does nothing"):
        small.edit(rgb(1), strategy=rh.Strategy("default", masks=[mask]))
