"""The shipped methods do what their formulas say."""

from __future__ import annotations

import pytest
import tiny
import torch
from plugs import Made, plugin

import refhooks as rh
from refhooks import hookimpl


class Seen:
    """What one reference's method was given, and what became of it, in the last pass seen."""

    def __init__(self, method):
        self.method = method

    def bind(self, reference, run):
        """Bind the method; keep the reference's latents on both grids."""
        self.own, self.fitted = reference.latents, reference.fitted("cover")
        return self.method.bind(reference, run)

    @property
    def plugin(self):
        """A plugin that keeps the latents before a step and the inputs and velocity after it."""

        @hookimpl(tryfirst=True)
        def refhooks_step(ctx, latents):
            self.sigma, self.latents = ctx.step.sigma, latents

        @hookimpl(trylast=True)
        def refhooks_conditioning(branch, inputs):
            if branch.name == "cond":
                self.inputs = inputs

        @hookimpl(tryfirst=True)
        def refhooks_velocity(predictions, velocity):
            self.predictions, self.guided = dict(predictions), velocity

        hooks = (refhooks_step, refhooks_conditioning, refhooks_velocity)
        return plugin(**{hook.__name__: hook for hook in hooks})


@pytest.mark.parametrize(
    "strategy",
    ["default", rh.method("default"), rh.Stage("default", 1), rh.Strategy("default")],
    ids=["name", "instance", "stage", "strategy"],
)
def test_default_at_1_is_no_strategy(edit, clean, strategy):
    """To the bit, however it is written."""
    assert torch.equal(clean, edit(strategy=strategy).latents)


def test_default_scales_the_reference_latents(edit):
    """[x_t ; s·r]: the target stays, the slot holds s·r on the picture's own grid."""
    seen = Seen(rh.method("default"))
    reference = rh.Reference(
        tiny.picture(1, (64, 32)), rh.Stage(Made(seen.bind), 0.5), resolution="native"
    )

    edit(references=[reference], plugins=[seen.plugin])

    assert seen.own.shape == (1, 32, 16)
    assert torch.equal(seen.own * 0.5, seen.inputs.slots[1].latents)
    assert seen.inputs.slots[1].keep is None
    assert torch.equal(seen.latents, seen.inputs.target)


def test_default_above_1_weighs_the_keys(edit):
    """Which is what cross_attn does; the slot holds the latents as they are."""
    seen = Seen(rh.method("default"))

    found = edit(strategy=rh.Stage(Made(seen.bind), 1.3), plugins=[seen.plugin]).latents

    assert torch.equal(seen.own, seen.inputs.slots[0].latents)
    assert torch.equal(found, edit(strategy=rh.Stage("cross_attn", 1.3)).latents)
    assert not torch.equal(found, edit().latents)


def test_default_by_the_guides_formula_above_1(edit):
    """s·r, and the attention is the model's own."""
    seen = Seen(rh.method("default", above_one="latents"))

    found = edit(strategy=rh.Stage(Made(seen.bind), 1.3), plugins=[seen.plugin]).latents

    assert torch.equal(seen.own * 1.3, seen.inputs.slots[0].latents)
    assert not torch.equal(found, edit(strategy=rh.Stage("default", 1.3)).latents)


def test_default_weighs_nothing_up_to_1(edit):
    """At a step up to 1 the two forms are the same to the bit, whatever comes after."""
    last = []

    @hookimpl
    def refhooks_step(ctx, latents):
        if ctx.step.index == 2:
            last.append(latents)

    for form in ("bias", "latents"):
        stage = rh.Stage(rh.method("default", above_one=form), (0.4, 1.0, 1.2))
        edit(strategy=stage, plugins=[plugin(refhooks_step=refhooks_step)])

    assert torch.equal(*last)


@pytest.mark.parametrize(("strengths", "weighs"), [(0.7, False), (1.0, False), (1.1, True)])
def test_default_asks_for_attention_only_above_1(edit, strengths, weighs):
    """So that up to there it runs where the attention cannot be edited."""
    bound = []

    def bind(reference, run):
        bound.append(rh.method("default").bind(reference, run))
        return bound[0]

    edit(strategy=rh.Stage(Made(bind), strengths))

    assert hasattr(bound[0], "refhooks_attention") is weighs


def test_default_knows_two_ways_above_1():
    """Another is refused, with the two."""
    with pytest.raises(rh.InputError, match=r"above_one.*'bias', 'latents'.*'keys'"):
        rh.method("default", above_one="keys")


@pytest.mark.parametrize("where", ["input", "latents"])
def test_inject_adds_the_reference_by_the_guides_formula(edit, where):
    """X + r·s·(1 − sigma), with r on the target's grid; the slot stays empty."""
    seen = Seen(rh.method("inject", formula="add", where=where))
    reference = rh.Reference(tiny.picture(1, (100, 30)), rh.Stage(Made(seen.bind), 0.75))

    edit(references=[reference], plugins=[seen.plugin])

    expected = seen.latents + seen.fitted * (0.75 * (1 - seen.sigma))
    assert 0 < seen.sigma < 1
    assert torch.allclose(expected, seen.inputs.target, atol=1e-6)
    assert not torch.equal(seen.latents, seen.inputs.target)
    assert seen.inputs.slots[1] is None


def test_inject_persists_only_in_the_latents(edit):
    """What is mixed into the input is gone at the next step; what is mixed into latents stays."""
    noise, results = {}, {}
    for where in ("input", "latents"):
        steps = []
        stage = rh.Stage(rh.method("inject", formula="add", where=where), [0, 1, 0])
        edit(
            strategy=rh.Strategy(stage, vision="never"),
            callback=lambda _step, latents, x0, steps=steps: steps.append(latents),
            plugins=[plugin(refhooks_velocity=lambda velocity: velocity * 0)],
        )
        noise[where], results[where] = steps[0], steps[-1]

    assert torch.equal(noise["input"], results["input"])
    assert not torch.equal(noise["latents"], results["latents"])


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_inject_fits_the_picture_before_it_is_encoded(edit, fit):
    """Each fit gives latents of its own, for a picture of another shape."""
    told = {}

    def bind(reference, _run):
        told[fit] = reference.fitted(fit)
        told["default"] = reference.fitted()
        return plugin(refhooks_step=lambda: None)

    edit(references=[rh.Reference(tiny.picture(1, (100, 30)), Made(bind))])

    assert (fit == "cover") == torch.equal(told["default"], told[fit])


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("references", [1, 2, 3])
def test_guidance_at_1_is_default_at_1(edit, references, cfg):
    """To the bit, and without a forward pass more."""

    def run(name):
        others = [rh.Reference(tiny.picture(number), name) for number in range(1, references)]
        return edit(strategy=name, references=others, cfg=cfg).latents

    assert torch.equal(run("default"), run("guidance"))


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("strength", [0.5, 1.5])
def test_guidance_scales_the_difference_that_the_reference_makes(edit, strength, cfg):
    """v0 + s·(v_ref − v0), where v0 is the pass without the reference's tokens."""
    seen, velocities = Seen(rh.method("guidance")), []

    @hookimpl(trylast=True)
    def last(velocity):
        velocities.append(velocity)

    edit(
        references=[rh.Reference(tiny.picture(1), rh.Stage(Made(seen.bind), strength))],
        plugins=[seen.plugin, plugin(refhooks_velocity=last)],
        cfg=cfg,
    )

    with_it, without = seen.predictions["cond"], seen.predictions["without reference 2"]
    assert not torch.equal(with_it, without)
    expected = seen.guided + (strength - 1) * (with_it - without)
    assert torch.allclose(expected, velocities[-1], atol=1e-5)


def test_two_references_are_guided_each_by_itself(edit):
    """The pass without one still has the other."""
    filled = {}

    def look(branch, inputs):
        filled[branch.name] = [tokens is not None for tokens in inputs.slots]

    edit(
        strategy=rh.Stage("guidance", 0.5),
        references=[rh.Reference(tiny.picture(1), rh.Stage("guidance", 1.5))],
        plugins=[plugin(refhooks_conditioning=look)],
    )

    assert filled == {
        "cond": [True, True],
        "uncond": [True, True],
        "without reference 1": [False, True],
        "without reference 2": [True, False],
    }


@pytest.mark.parametrize(
    "method",
    ["default", "inject", "guidance", rh.method("concat", tied=True)],
    ids=["default", "inject", "guidance", "concat"],
)
def test_strength_acts_between_0_and_1(edit, method):
    """Every strength gives a picture of its own."""
    latents = [
        edit(strategy=rh.Strategy(rh.Stage(method, strength), vision="always")).latents
        for strength in (0, 0.25, 0.5, 1)
    ]

    for place, first in enumerate(latents):
        for second in latents[place + 1 :]:
            assert not torch.equal(first, second)
