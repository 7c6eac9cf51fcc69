"""The forms of inject: blend, pull, kept tokens, and several references at once."""

from __future__ import annotations

import pytest
import tiny
import torch
from plugs import plugin

import refhooks as rh
import refhooks_inject


def seen(edit, strategy, references=(), **kwargs):
    """Per step: what came into the step, what the model saw, its slots."""
    rows = []

    def step(latents):
        rows.append({"latents": latents})

    def conditioning(branch, inputs):
        if branch.name == "cond":
            rows[-1].update(target=inputs.target, slots=inputs.slots)

    last = plugin(refhooks_step=step, refhooks_conditioning=conditioning)
    result = edit(strategy=strategy, references=references, plugins=[last], **kwargs)
    return result, rows


def encoded(editor, seed=0):
    """The clean latents of a picture at the output's size."""
    run = editor.family.open(
        prompts=["x"], guidance=rh.Guidance(1.0, (" ",)), seeds=[1], size=rh.Size(32, 32),
        references=[], shown=[],
    )  # fmt: skip
    with torch.no_grad():
        return run.encode(tiny.picture(seed, (32, 32)), rh.Size(32, 32)), run.noise


@pytest.fixture
def square(edit):
    """Edits of a picture that needs no fitting."""
    return lambda **kwargs: edit(tiny.picture(0, (32, 32)), **kwargs)


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_blend_of_the_input(editor, square, strength):
    """The model sees the mix; the latents of the loop stay."""
    stage = rh.Stage(rh.method("inject", formula="blend"), strength)
    result, rows = seen(square, stage)
    clean, noise = encoded(editor)

    for row, planned in zip(rows, result.timetable.steps, strict=True):
        sigma = planned.step.sigma
        weight = min(1.0, strength * (1 - sigma))
        mix = (1 - weight) * row["latents"] + weight * ((1 - sigma) * clean + sigma * noise)
        torch.testing.assert_close(row["target"], mix, atol=1e-5, rtol=1e-5)
        assert row["slots"] == (None,)


def test_blend_mixes_with_what_an_edit_mask_keeps(editor, square):
    """The formula holds outside of the mask too, where the latents are the source's."""
    after, targets = [], []

    @rh.hookimpl(trylast=True)
    def last(latents):
        after.append(latents)

    def conditioning(branch, inputs):
        if branch.name == "cond":
            targets.append(inputs.target)

    result = square(
        strategy=rh.Stage(rh.method("inject", formula="blend"), 0.8),
        edit_mask="0,0,50%,100%",
        plugins=[plugin(refhooks_step=last, refhooks_conditioning=conditioning)],
    )

    clean, noise = encoded(editor)
    for sigma, latents, target in zip(result.timetable.sigmas, after, targets, strict=True):
        weight = 0.8 * (1 - sigma)
        mix = (1 - weight) * latents + weight * ((1 - sigma) * clean + sigma * noise)
        torch.testing.assert_close(target, mix, atol=1e-5, rtol=1e-5)


def around(before, after):
    """A plugin that keeps the latents before and after everything else of ``refhooks_step``."""

    @rh.hookimpl(tryfirst=True)
    def first(latents):
        before.append(latents)

    @rh.hookimpl(trylast=True)
    def last(latents):
        after.append(latents)

    return [plugin(refhooks_step=first), plugin(refhooks_step=last)]


def test_blend_of_the_latents_persists(editor, square):
    """The mix is what the step starts from."""
    stage = rh.Stage(rh.method("inject", formula="blend", where="latents"), 0.8)
    before, after = [], []

    result = square(strategy=stage, plugins=around(before, after))

    clean, noise = encoded(editor)
    for start, mixed, sigma in zip(before, after, result.timetable.sigmas, strict=True):
        weight = 0.8 * (1 - sigma)
        expected = (1 - weight) * start + weight * ((1 - sigma) * clean + sigma * noise)
        torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)


def test_blend_weights_above_1_are_scaled_to_1(editor, square):
    """Two references at 2 share the input, in either order."""
    stage = rh.Stage(rh.method("inject", formula="blend"), [1.5] * 3)
    other = rh.Reference(tiny.picture(1, (32, 32)), stage)

    result, rows = seen(square, stage, references=[other])

    (first, noise), (second, _) = encoded(editor), encoded(editor, 1)
    for row, planned in zip(rows, result.timetable.steps, strict=True):
        sigma = planned.step.sigma
        weight = min(1.0, 1.5 * (1 - sigma))
        weight /= max(1.0, 2 * weight)
        mixes = [(1 - sigma) * clean + sigma * noise for clean in (first, second)]
        expected = (1 - 2 * weight) * row["latents"] + weight * sum(mixes)
        torch.testing.assert_close(row["target"], expected, atol=1e-5, rtol=1e-5)


def gated(square, strength):
    """Per step: noise level, x0 before and after; the noise levels are 1 and below."""
    before, after = [], []

    @rh.hookimpl(tryfirst=True)
    def velocity(ctx, latents, velocity):
        before.append((ctx.step.sigma, latents - ctx.step.sigma * velocity))

    result = square(
        strategy=rh.Stage(rh.method("inject", formula="gate"), strength),
        plugins=[plugin(refhooks_velocity=velocity)],
        callback=lambda _step, _latents, x0: after.append(x0),
    )
    return result, [(*one, other) for one, other in zip(before, after, strict=True)]


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.4])
def test_gate_draws_what_is_near_the_reference(editor, square, monkeypatch, strength):
    """By exp(−(d/(τ·s))²), d the RMS distance of a token; above 1 the rest by s − 1 at first."""
    monkeypatch.setattr(refhooks_inject, "NEAR", 1.0)  # random predictions are far from it
    _, steps = gated(square, [strength] * 3)
    clean, _ = encoded(editor)

    assert any(sigma > 0.8 for sigma, _, _ in steps)
    for sigma, x0, moved in steps:
        distance = (clean - x0).square().mean(dim=-1, keepdim=True).sqrt()
        share = torch.exp(-((distance / strength) ** 2))
        if strength > 1.0 and sigma > 0.8:
            share = 1.0 - (1.0 - share) * (2.0 - strength)
        assert float(share.min()) > 0.0
        torch.testing.assert_close(moved, x0 + share * (clean - x0), atol=1e-5, rtol=1e-5)


@pytest.fixture
def far(monkeypatch):
    """A gate that nothing of a random model's prediction comes near enough to."""
    monkeypatch.setattr(refhooks_inject, "NEAR", 1e-3)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(("strength", "like"), [(1.0, "default"), (0.4, "cross_attn")])
def test_gate_leaves_what_is_far_as_the_model_makes_it(square, strength, like):
    """The tokens are kept, and weighed below 1 as ``cross_attn`` does: bit-identical."""
    plain = square(strategy=rh.Stage(like, strength))
    result, _ = gated(square, strength)
    assert torch.equal(result.latents, plain.latents)


def test_gate_at_0_leaves_the_tokens_out(square):
    """As any method does."""
    gate = rh.method("inject", formula="gate")
    one, other = (square(strategy=rh.Stage(it, 0.0)).latents for it in (gate, "default"))
    assert torch.equal(one, other)


@pytest.mark.parametrize(("strength", "edits"), [(0.5, True), (1.0, False), (1.5, False)])
def test_gate_needs_attention_below_1_alone(strength, edits):
    """Foreseen, so that a model whose attention cannot be edited refuses it when it is planned."""
    stage = rh.Stage(rh.method("inject", formula="gate"), strength)
    rows = [planned.rows[0] for planned in rh.plan(rh.Strategy(stage), steps=3).steps]
    assert stage.method.outlook(rh.PlannedStage(0, 0, tuple(rows))).attention is edits


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tokens": "drop"}, "tokens='drop' does not go with formula='gate'"),
        ({"where": "latents"}, "where='latents' does not go with formula='gate'"),
    ],
)
def test_options_that_a_gate_cannot_have(options, said):
    """Told with what to do, when the method is made."""
    with pytest.raises(rh.RefhooksError, match=said):
        rh.method("inject", formula="gate", **options)


@pytest.mark.parametrize("formula", ["add", "gate"])
def test_what_follows_from_the_formula_is_not_written(tmp_path, formula):
    """A strategy's file says what was asked for."""
    strategy = rh.Strategy(rh.Stage(rh.method("inject", formula=formula), 0.5))
    place = tmp_path / "s.toml"
    rh.dump_strategy(strategy, place)
    assert "tokens" not in place.read_text()
    assert rh.load_strategy(place) == strategy


def test_pull_moves_the_prediction_toward_the_reference(editor, square):
    """Half of the way at 1 while sigma is above 0.2, and not after it."""
    velocities = []

    @rh.hookimpl(tryfirst=True)
    def velocity(ctx, latents, velocity):
        velocities.append((ctx.step.sigma, latents, velocity))

    stage = rh.Stage(rh.method("inject", formula="pull"), 1.0)
    pulled = []
    square(
        strategy=stage, plugins=[plugin(refhooks_velocity=velocity)],
        callback=lambda _step, _latents, x0: pulled.append(x0),
    )  # fmt: skip
    clean, _ = encoded(editor)

    for (sigma, latents, velocity_before), x0 in zip(velocities, pulled, strict=True):
        before = latents - sigma * velocity_before
        expected = before + 0.5 * (clean - before) if sigma > 0.2 else before
        torch.testing.assert_close(x0, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"formula": "pull"}, {"where": "latents"}])
def test_kept_tokens_are_those_of_default(square, options):
    """tokens="keep" gives the model the reference's tokens besides."""
    kept = rh.Stage(rh.method("inject", tokens="keep", **options), 0.5)

    _, rows = seen(square, kept)
    _, native = seen(square, None)

    for row, other in zip(rows, native, strict=True):
        assert torch.equal(row["slots"][0].latents, other["slots"][0].latents)


def test_pull_has_no_place():
    """Where belongs to what is mixed into latents."""
    with pytest.raises(rh.InputError, match="where='latents' does not go with formula='pull'"):
        rh.method("inject", formula="pull", where="latents")


@pytest.mark.parametrize("formula", ["add", "blend", "pull"])
@pytest.mark.parametrize("tokens", ["drop", "keep"])
def test_0_is_no_reference_to_the_bit(edit, formula, tokens):
    """For every form."""
    stage = rh.Stage(rh.method("inject", formula=formula, tokens=tokens), 0.0)

    runs = [edit(tiny.picture(seed), strategy=stage).latents for seed in (0, 1)]

    assert torch.equal(*runs)


def test_a_larger_picture_without_tokens_moves_nothing(editor):
    """Near 0 the result is that of no reference, whatever the picture's resolution."""
    shown = {"vision": "never"}
    none = rh.Strategy([rh.Stage("inject", 0.0)], **shown)
    little = rh.Strategy([rh.Stage("inject", 1e-6)], **shown)
    arguments = {"steps": 2, "seed": 1, "cfg": 1.0}
    large = rh.Editor(
        editor.pipe, checkpoint=rh.Checkpoint(output=32 * 32, reference=128 * 128, vision=32 * 32)
    )

    without = large.edit(tiny.picture(), "make it blue", strategy=none, **arguments).latents
    with_it = large.edit(tiny.picture(), "make it blue", strategy=little, **arguments).latents

    torch.testing.assert_close(with_it, without, atol=1e-4, rtol=0)


def test_inject_on_the_latents_chains(editor, square):
    """Two references add up on the latents, in the order of the call."""
    stage = rh.Stage(rh.method("inject", where="latents"), 0.5)
    other = rh.Reference(tiny.picture(1, (32, 32)), stage)
    starts, ends = [], []

    result = square(strategy=stage, references=[other], plugins=around(starts, ends))

    total = sum(encoded(editor, seed)[0] for seed in (0, 1))
    for before, after, sigma in zip(starts, ends, result.timetable.sigmas, strict=True):
        expected = before + 0.5 * (1 - sigma) * total
        torch.testing.assert_close(after, expected, atol=1e-5, rtol=1e-5)
