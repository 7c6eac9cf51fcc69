"""LoRAs for few steps at noise levels that are not theirs: told once, before anything runs."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from types import SimpleNamespace

import plain
import pytest
import tiny
from test_lora import lora

import refhooks as rh
from refhooks._apps.editing.distilled import set_shift, shift_of
from refhooks._loras.records import FileRecord
from refhooks._loras.state import remember

ONE = {"base_shift": math.log(3), "max_shift": math.log(3), "shift_terminal": None}
SAID = "is distilled for few steps"


def distilled(name="lightning", scheduler=tiny.DYNAMIC):
    """A pipeline with a LoRA, and the checkpoint's own noise levels."""
    pipe = tiny.build("plus", "middle", scheduler=scheduler)
    pipe.load_lora_weights(lora(pipe, 1), adapter_name=name)
    return pipe


def told(pipe, **arguments):
    """What an edit warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plain.editor_for(pipe).edit(
            plain.SOURCE, plain.PROMPT, **{"seed": 1, "steps": 4, "cfg": 1.0, **arguments}
        )
    return [str(it.message) for it in caught if SAID in str(it.message)]


def test_it_is_told_once():
    """With what helps; a chain tells it of its edits."""
    [message] = told(distilled())

    assert "the LoRA 'lightning' is distilled" in message
    assert "--shift 3" in message


@pytest.mark.parametrize(
    "scheduler",
    [
        {**tiny.DYNAMIC, **ONE, "shift_terminal": 0.02},
        {**tiny.DYNAMIC, "shift_terminal": None},
        {"use_dynamic_shifting": False, "shift": 1.0},
    ],
    ids=["a last level", "a shift by size", "no shift"],
)
def test_noise_levels_that_are_not_its_own(scheduler):
    """Each of what differs."""
    assert len(told(distilled(scheduler=scheduler))) == 1


@pytest.mark.parametrize(
    "scheduler",
    [{**tiny.DYNAMIC, **ONE}, {"use_dynamic_shifting": False, "shift": 3.0}],
    ids=["as its authors write it", "static"],
)
def test_its_own_noise_levels(scheduler):
    """Without a word."""
    assert told(distilled(scheduler=scheduler)) == []


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("Qwen-Image-Edit-2511-Lightning-4steps-V1_0-bf16", True),
        ("qwen_turbo", True), ("hyper-sd", True), ("lcm", True), ("dmd2", True),
        ("my_8_step", True), ("distilled", True), ("edit-4step", True),
        ("hyperrealistic", False), ("style", False), ("trained-4000-steps", False),
        ("footstep", False), ("film", False),
    ],
)  # fmt: skip
def test_whose_name_says_it(name, is_one):
    """The file's, or a title in its metadata; an adapter's where no more is known."""
    pipe = distilled("one")
    config = pipe.transformer.peft_config["one"]
    for file, notes in ((name, {}), ("a", {"modelspec.title": name})):
        record = FileRecord(Path(f"{file}.safetensors"), (0, 0), "LoRA", config, {}, notes)
        remember(pipe.transformer, "one", record)
        assert len(told(pipe)) == is_one


def test_one_that_does_not_act():
    """Many steps, scale 0, disabled, or unloaded: nothing to tell of."""
    pipe = distilled()
    assert told(pipe, steps=17) == []
    pipe.set_adapters(["lightning"], adapter_weights=[0.0])
    assert told(pipe) == []
    pipe.set_adapters(["lightning"], adapter_weights=[1.0])
    pipe.disable_lora()
    assert told(pipe) == []
    pipe.enable_lora()
    assert len(told(pipe)) == 1
    pipe.unload_lora_weights()
    assert told(pipe) == []


def test_a_shift_is_that_of_its_authors():
    """The noise levels of a shift of 3 at every size, and no warning."""
    pipe = distilled()
    set_shift(pipe, 3.0)

    result = plain.editor_for(pipe).edit(plain.SOURCE, plain.PROMPT, seed=1, steps=4, cfg=1.0)

    even = [1 - step / 4 for step in range(4)]
    assert result.timetable.sigmas == pytest.approx(
        [3 * sigma / (1 + 2 * sigma) for sigma in even], abs=1e-6
    )


@pytest.mark.parametrize(
    ("metadata", "shift"),
    [
        ({"shift": "3"}, 3.0), ({"flow_shift": "2.5"}, 2.5), ({}, None), ({"shift": "x"}, None),
        ({"shift": "0"}, None), ({"shift": "nan"}, None), ({"shift": "1e9"}, None),
        ({"shift": "x", "flow_shift": "3"}, 3.0), ({"ss_discrete_flow_shift": "3"}, None),
    ],
)  # fmt: skip
def test_the_shift_of_metadata(metadata, shift):
    """A number above 0, up to 100; what a training used is none."""
    assert shift_of(metadata) == shift


def test_a_scheduler_without_one():
    """Refused by name."""
    pipe = SimpleNamespace(scheduler=SimpleNamespace(config={}))

    with pytest.raises(rh.ModelError, match="the scheduler SimpleNamespace has no shift"):
        set_shift(pipe, 3.0)
