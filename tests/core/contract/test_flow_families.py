"""What families share: the schedule of flow models, kinds of guidance, what is beside a text."""

from __future__ import annotations

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks.families import flow_schedule
from refhooks_qwen._family import QwenImageEditPlus


@pytest.mark.parametrize("mu", [0.3, 2.0])
def test_a_schedule_is_shifted_by_the_mu_that_is_given(pipe, mu):
    """As the scheduler itself does it, and cut to the last steps."""
    scheduler, sigmas, timesteps = flow_schedule(pipe, 64, 2, 4, mu=mu)
    expected = type(pipe.scheduler).from_config(pipe.scheduler.config)
    expected.set_timesteps(sigmas=[1.0, 0.75, 0.5, 0.25], mu=mu)

    assert sigmas == expected.sigmas[2:-1].tolist()
    assert torch.equal(timesteps, expected.timesteps[2:])
    assert scheduler.begin_index == 2


def test_fixed_noise_levels_are_as_many_as_the_steps(pipe):
    """They are taken in place of equal steps; another number is refused."""
    fixed = [1.0, 0.9, 0.4]

    _, sigmas, _ = flow_schedule(pipe, 64, 3, sigmas=fixed)

    assert sigmas != flow_schedule(pipe, 64, 3)[1]
    with pytest.raises(rh.InputError, match="3 fixed noise levels, which are its steps; got 5"):
        flow_schedule(pipe, 64, 5, sigmas=fixed)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("none", {"negative_prompt": "red"}, "is distilled .none guidance., so it takes no neg"),
        ("none", {"cfg": 2.0}, "runs without guidance, so cfg=2 would do nothing"),
        ("embedded", {"negative_prompt": "red"}, "is distilled .embedded guidance."),
    ],
)
def test_guidance_that_a_model_has_not_is_refused(
    editor, never_called, monkeypatch, kind, options, words
):
    """Before anything is encoded."""
    monkeypatch.setattr(QwenImageEditPlus, "guidance_kind", kind)

    with never_called(), pytest.raises(rh.InputError, match=words):
        editor.edit(tiny.picture(), "make it blue", steps=2, **options)


@pytest.mark.parametrize("kind", ["none", "embedded"])
def test_a_blank_negative_prompt_is_none(editor, monkeypatch, kind):
    """One pass a step then, whatever the scale of the checkpoint is."""
    monkeypatch.setattr(QwenImageEditPlus, "guidance_kind", kind)
    passes = []

    class Counts:
        @rh.hookimpl
        def refhooks_conditioning(self, branch):
            passes.append(branch.name)

    editor.edit(tiny.picture(), "make it blue", steps=2, plugins=[Counts()])

    assert passes == ["cond", "cond"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"places": (1,)}, "text.places must be 0 numbers from 0 to"),
        ({"ids": torch.zeros(3, 4)}, "text.ids must stay as it is"),
        ({"pooled": torch.zeros(1, 4)}, "text.pooled must stay as it is"),
    ],
)
def test_what_is_beside_a_text_fits_it(editor, change, words):
    """A plugin that changes the prompt hands on what its family needs."""

    class Changes:
        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            return attrs.evolve(inputs, text=attrs.evolve(inputs.text, **change))

    with pytest.raises(rh.HookReturnError, match=words):
        editor.edit(tiny.picture(), "make it blue", steps=2, plugins=[Changes()])
