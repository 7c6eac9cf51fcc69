"""Guiders of diffusers in a run, and a reference to move away from."""

from __future__ import annotations

import diffusers
import pytest
import tiny
import torch
from click.testing import CliRunner

import refhooks as rh
from refhooks.cli import main
from refhooks_guider import KINDS, REFUSED

STEPS = 6


@pytest.fixture(scope="module")
def editor():
    """A tiny Qwen model."""
    sizes = rh.Checkpoint(output=tiny.AREA, reference=tiny.AREA)
    return rh.Editor(tiny.build("plus", "middle"), checkpoint=sizes)


class Seen:
    """Keeps predictions and the velocity of each step."""

    def __init__(self):
        self.steps = []

    @rh.hookimpl(trylast=True)
    def refhooks_velocity(self, ctx, predictions, velocity):
        self.steps.append((ctx, dict(predictions), velocity))


def edited(editor, *plugins, **options):
    """Return the latents of an edit, and what was seen of its steps."""
    seen = Seen()
    options = {"steps": STEPS, "seed": 0, "cfg": 4.0, "height": 48, "width": 64, **options}
    result = editor.edit(tiny.picture(), "make it blue", plugins=[*plugins, seen], **options)
    return result.latents, seen.steps


@pytest.mark.parametrize("kind", KINDS)
def test_the_velocity_is_what_the_guider_makes(editor, kind):
    """Of the very predictions, with what it carries from step to step."""
    latents, steps = edited(editor, rh.plugin("guider", kind=kind, scale=3.0))

    names = {"guidance_scale": 3.0}
    if kind == "apg-mix":
        names["adaptive_projected_guidance_scale"] = 3.0
    own = getattr(diffusers.guiders, KINDS[kind])(**names)
    for ctx, predictions, velocity in steps:
        own.set_state(ctx.step.index, STEPS, ctx.t)
        own.prepare_inputs({})
        wanted = own.forward(predictions["cond"], predictions["uncond"]).pred
        assert torch.equal(velocity, wanted)
    assert not torch.equal(latents, edited(editor)[0])


def test_cfg_is_plain_guidance(editor):
    """By its formula, and without the norm that the pipeline gives back."""
    _, steps = edited(editor, rh.plugin("guider", kind="cfg", scale=3.0))

    for _, predictions, velocity in steps:
        cond, uncond = predictions["cond"], predictions["uncond"]
        torch.testing.assert_close(velocity, uncond + 3.0 * (cond - uncond), rtol=0, atol=1e-5)


def test_it_acts_in_its_window_alone(editor):
    """Before and after, there is no guidance; where cfg is off, it leaves the step alone."""
    _, steps = edited(editor, rh.plugin("guider", kind="cfg", start=0.34, stop=0.67))
    alone = [torch.equal(velocity, them["cond"]) for _, them, velocity in steps]
    assert alone == [True, True, False, False, True, True]

    _, steps = edited(editor, rh.plugin("guider", kind="cfg"), cfg=[1.0] * 3 + [4.0] * 3)
    assert ["uncond" in them for _, them, _ in steps] == [False] * 3 + [True] * 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        *[({"kind": kind}, reason) for kind, reason in REFUSED.items()],
        ({"kind": "apgg"}, "kind must be one of apg, apg-mix"),
        ({"kind": ["apg"]}, "kind must be one of"),
        ({"kind": "cfg", "scale": float("nan")}, "scale must be from 0 to 30, got nan"),
        ({"kind": "cfg", "scale": "3"}, "scale must be from 0 to 30, got '3'"),
        ({"kind": "cfg", "start": 0.5, "stop": 0.5}, "stop must be above start, 0.5; got 0.5"),
        ({"kind": "cfg", "momentum": 0.5}, "momentum is for apg and apg-mix, not for cfg"),
        ({"kind": "cfg-zero", "zero_steps": 1.5}, "zero_steps"),
        ({}, "kind"),
    ],
)
def test_bad_options(options, told):
    """Each in one sentence."""
    with pytest.raises(rh.InputError, match=told) as caught:
        rh.plugin("guider", **options)
    assert "\n" not in str(caught.value)


def test_a_run_without_a_negative_pass_is_told(editor):
    """It says what to give, and leaves the run as it is."""
    with pytest.warns(rh.RefhooksWarning, match="give the edit a cfg above 1"):
        latents, _ = edited(editor, rh.plugin("guider", kind="apg"), cfg=1.0)

    assert torch.equal(latents, edited(editor, cfg=1.0)[0])


def test_from_the_command_line_and_replayed(tmp_path):
    """Recipes hold it."""
    picture, out = tmp_path / "photo.png", tmp_path / "out.png"
    tiny.picture(size=(64, 64)).save(picture)
    done = CliRunner().invoke(main, [
        "edit", str(picture), "make it night", "-o", str(out), "--steps", "2", "--seed", "0",
        "--cfg", "2", "--plugin", "guider:kind=apg,momentum=-0.5", "--method", "guidance",
        "--option", "away=true",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output

    done = CliRunner().invoke(main, ["replay", str(out), "-o", str(tmp_path / "again.png")])
    assert done.exit_code == 0, done.output
    assert "the same picture to the bit" in done.output


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_away_is_its_formula(editor, cfg):
    """The passes of the run have no tokens of the reference; one more has."""
    away = rh.load_registry().method("guidance", {"away": True})
    reference = rh.Reference(tiny.picture(1), rh.Strategy([rh.Stage(away, 0.7)], vision="never"))
    _, steps = edited(editor, references=[reference], cfg=cfg)
    _, without = edited(editor, cfg=cfg)
    native = rh.Strategy([rh.Stage("default")], vision="never")
    _, given = edited(editor, references=[rh.Reference(tiny.picture(1), native)], cfg=cfg)

    (_, predictions, velocity), (_, plain, own), (_, other, _) = steps[0], without[0], given[0]
    torch.testing.assert_close(predictions["cond"], plain["cond"], rtol=0, atol=2e-6)
    torch.testing.assert_close(predictions["with reference 2"], other["cond"], rtol=0, atol=2e-6)
    wanted = own - 0.7 * (other["cond"] - plain["cond"])
    torch.testing.assert_close(velocity, wanted, rtol=0, atol=1e-5)


def test_away_is_planned():
    """One pass more a step, alone with the tokens."""
    away = rh.load_registry().method("guidance", {"away": True})
    shape = {"steps": 4, "cfg": 1.0}

    both = rh.cost(rh.Stage(away, 1.0), **shape)
    assert both.over_bare == pytest.approx(1.0 + rh.cost("default", **shape).over_bare)
