"""Four and eight steps without guidance, as step-distilled LoRAs (Lightning) are used."""

from __future__ import annotations

import math

import plain
import pytest
import tiny
import torch
from test_lora import lora

import refhooks as rh

# The scheduler that the LoRAs' authors ship: a fixed shift of 3 in place of one by resolution.
LIGHTNING = {
    **tiny.DYNAMIC, "base_shift": math.log(3), "max_shift": math.log(3), "shift_terminal": None,
}  # fmt: skip


def lightning():
    """A pipeline with their schedule, and a LoRA."""
    pipe = tiny.build("plus", "middle", scheduler=LIGHTNING)
    pipe.load_lora_weights(lora(pipe, 1), adapter_name="lightning")
    return pipe


@pytest.mark.parametrize("steps", [4, 8])
def test_the_stock_pipeline(steps):
    """No strategy, and `default` at 1, to the bit; the noise levels are those of a shift of 3."""
    pipe = lightning()
    expected = plain.stock(pipe, steps=steps, cfg=1.0)

    result = plain.editor_for(pipe).edit(plain.SOURCE, plain.PROMPT, seed=1, steps=steps, cfg=1.0)

    assert torch.equal(expected, result.latents)
    named = plain.edited(pipe, rh.Stage("default", 1.0), steps=steps, cfg=1.0)
    assert torch.equal(expected, named)
    even = [1 - step / steps for step in range(steps)]
    shifted = [3 * sigma / (1 + 2 * sigma) for sigma in even]
    assert result.timetable.sigmas == pytest.approx(shifted, abs=1e-6)


@pytest.mark.parametrize("steps", [4, 8])
def test_a_switch_acts_at_the_same_noise_level(steps):
    """By progress half of the steps; by sigma as many as lie above it."""
    pipe = lightning()
    switches = {0.5: steps // 2, rh.switch("sigma", below=0.8): {4: 2, 8: 4}[steps]}
    for until, first in switches.items():
        strategy = rh.Strategy([rh.Stage("cross_attn", 0.5, until=until), rh.Stage("inject")])

        result = plain.editor_for(pipe).edit(
            plain.SOURCE, plain.PROMPT, strategy=strategy, seed=1, steps=steps, cfg=1.0
        )

        stages = [step.rows[0].stage for step in result.timetable.steps]
        assert [0] * first + [1] * (steps - first) == stages


@pytest.mark.parametrize("name", plain.METHODS)
def test_every_method_acts_in_four_steps(name):
    """Each differs from no strategy, and 0 throughout is no reference."""
    pipe = lightning()
    few = {"steps": 4, "cfg": 1.0}

    found = plain.edited(pipe, plain.METHODS[name], **few)

    assert torch.isfinite(found).all()
    assert not torch.allclose(found, plain.edited(pipe, **few), atol=1e-3)
