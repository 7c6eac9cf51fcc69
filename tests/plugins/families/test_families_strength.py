"""What strength means, over all families: the rows are in `tests/families_table.py`."""

from __future__ import annotations

import re

import attrs
import pytest
import torch

import refhooks as rh

pytestmark = pytest.mark.long


def attended(editor, strength, **options):
    """A stage of cross_attn, which acts on what is computed once as well, where something is."""
    scope = "all" if editor.family.sight == "prefix" else "auto"
    return rh.Stage(rh.method("cross_attn", **{"scope": scope, **options}), strength)


@pytest.fixture(scope="module")
def plain(row, editor):
    """The model's own balance."""
    return row.edit(editor, row.pictures(1)).latents


@pytest.mark.filterwarnings("ignore:.*artifacts are likely:refhooks.RefhooksWarning")
def test_the_distance_from_0_grows(row, editor):
    """With strength, and in proportion to it next to 0.

    A weight s gives the reference s·z / (rest + s·z) of the attention. That is s·z / rest for a
    small s, so half the strength is half the way from the reference left out; were a part of it
    still attended at a weight next to 0, both would be as far from that. The second step is the
    same in all, so that the text has the same places.
    """
    picture = row.pictures(1)

    def at(strength):
        return row.edit(editor, picture, attended(editor, [strength, 0.5])).latents

    none = at(0.0)
    far = [float((at(it) - none).norm()) for it in (1e-4, 2e-4, 0.05, 0.5, 1.0, 2.0)]

    assert far == sorted(far)
    assert far[1] / far[0] == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("strength", [0.999999, 1.000001])
def test_the_merged_path_is_stock_at_weight_1(row, editor, plain, strength):
    """Merged by log-sum-exp, with a weight next to 1: what rounding makes of it."""
    near = row.edit(editor, row.pictures(1), rh.Stage("cross_attn", strength)).latents

    assert float((near - plain).abs().max()) <= 1e-5 * float(plain.abs().max())


def test_every_option_acts(row, editor, plain):
    """Of cross_attn, and positions of default: each is another picture, or refused."""
    last = [0.0] * (editor.family.blocks - 1) + [1.0]
    ways = {"plain": attended(editor, 0.5), "none": attended(editor, 0.0)}
    for name, options in {
        "separate": {"softmax": "separate"}, "keys": {"gain": "keys"}, "layers": {"layers": last},
    }.items():  # fmt: skip
        ways[name] = attended(editor, 0.5, **options)
    latents = {"native": plain}
    for name, strategy in ways.items():
        latents[name] = row.edit(editor, row.pictures(1), strategy).latents
    for positions in ("same", "offset"):
        with row.unless_refused("positions"):
            latents[positions] = row.edit(
                editor, row.pictures(1), rh.method("default", positions=positions)
            ).latents

    assert all(bool(torch.isfinite(it).all()) for it in latents.values())
    names = list(latents)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            assert not torch.equal(latents[name], latents[other]), (name, other)


def test_a_content_mask_that_keeps_everything_is_the_stock_pipeline(row, editor, plain):
    """Tokens that stay have their places."""
    whole = rh.mask(box="0,0,100%,100%", kind="content")

    kept = row.edit(editor, row.pictures(1), rh.Strategy("default", masks=[whole]))

    assert torch.equal(kept.latents, plain)


class Held:
    """Gives the model the target of the first step at every step."""

    def __init__(self):
        self.target = None

    @rh.hookimpl(tryfirst=True)
    def refhooks_conditioning(self, inputs):
        self.target = inputs.target if self.target is None else self.target
        return attrs.evolve(inputs, target=self.target)


def test_kept_keys_are_exact_where_nothing_changes(row, editor, monkeypatch):
    """At a second step with the target and the noise level of the first.

    So what is kept of each block is put back into the same one, with the same weight; how far it
    is off as the target goes on is the model's, and nothing is to be said of random weights.
    """
    picture, schedule = row.pictures(1), editor.family.schedule

    def still(*sizes):
        scheduler, sigmas, timesteps = schedule(*sizes)
        return scheduler, sigmas, timesteps[:1].expand_as(timesteps).clone()

    monkeypatch.setattr(editor.family, "schedule", still)
    seen = {}
    for reuse in ("never", "once"):
        row.edit(
            editor, picture, rh.Stage(rh.method("cross_attn", reuse=reuse), 0.6), steps=3,
            plugins=[Held()],
            callback=lambda step, latents, *_, reuse=reuse: seen.update({(reuse, step): latents}),
        )  # fmt: skip

    for step in (0, 1):  # after the last one a flow map is told another noise level
        torch.testing.assert_close(seen["once", step], seen["never", step], atol=1e-5, rtol=1e-5)


def test_foreign_attention_is_refused_before_anything_is_encoded(row, monkeypatch):
    """In any kind of block, with what works instead."""
    own = row.editor()
    monkeypatch.setattr(own.family, "open", lambda **_: pytest.fail("encoded"))
    before = dict(own.pipe.transformer.attn_processors)
    kinds = {re.sub(r"\d+", "", name): name for name in before}

    for name in kinds.values():
        module = own.pipe.transformer.get_submodule(name.removesuffix(".processor"))
        module.set_processor(type("Other", (type(before[name]),), {})())
        with pytest.raises(rh.InputError, match=r"cross_attn.*Other.*What works"):
            row.edit(own, row.pictures(1), rh.Stage("cross_attn", 0.5))
        module.set_processor(before[name])
