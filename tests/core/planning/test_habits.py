"""What users of other tools write is done, or told in one sentence."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tiny
import torch
from PIL import ImageChops

import refhooks as rh

NAMES = {
    "num_inference_steps": "steps",
    "guidance_scale": "cfg",
    "true_cfg_scale": "cfg",
    "num_images_per_prompt": "n",
    "mask_image": "edit_mask=",
    "callback_on_step_end": "callback=",
    "output_type": "result.images",
    "generator": "seed=0",
    "strenght": "Did you mean 'strength'?",
    "images": "references",
    "nothing_like_it": "it takes image, prompt, strategy",
}


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_argument_is_told_with_the_name_to_use(edit, name):
    """In one sentence that names it."""
    with pytest.raises(rh.InputError, match=rf"edit\(\) takes no {name} ") as caught:
        edit(**{name: 1})

    assert NAMES[name] in str(caught.value)


def test_several_unknown_arguments_are_told_at_once(edit):
    """Each with its name here."""
    with pytest.raises(rh.InputError) as caught:
        edit(num_inference_steps=4, guidance_scale=2.0)

    assert str(caught.value) == (
        "edit() takes no num_inference_steps (its name here is steps),"
        " guidance_scale (its name here is cfg)"
    )


def same(result, other):
    """Whether two edits made one picture."""
    return ImageChops.difference(result.image, other.image).getbbox() is None


def test_a_method_and_a_strength_are_a_stage(edit):
    """As on the command line; a strength alone is of the native method."""
    assert same(edit(method="cross_attn", strength=0.5), edit(strategy=rh.Stage("cross_attn", 0.5)))
    assert same(edit(strength=0.5), edit(strategy=rh.Stage("default", 0.5)))
    assert same(edit(method="cross_attn"), edit(strategy="cross_attn"))
    assert not same(edit(strength=0.5), edit())


def test_a_preset_is_its_strategy_and_denoise(edit, tmp_path):
    """By name, as a value and in the place of a strategy; denoise, strength and method override."""
    (tmp_path / "mine.toml").write_text('denoise = 0.5\n[[stage]]\nmethod = "default"\n')
    place = str(tmp_path / "mine.toml")
    mine = rh.preset(place)
    written = edit(strategy="default", denoise=0.5)

    assert same(edit(preset=place), written)
    assert same(edit(preset=mine), written)
    assert same(edit(strategy=mine), written)
    assert same(edit(preset=mine, denoise=1.0), edit())
    assert same(
        edit(preset=mine, strength=0.4), edit(strategy=rh.Stage("default", 0.4), denoise=0.5)
    )
    assert same(edit(preset=mine, method="inject"), edit(strategy="inject", denoise=0.5))


def test_a_strategy_may_be_a_file(edit, tmp_path):
    """With its run plugins; one that lists references is told how to read it."""
    rh.dump_strategy(rh.Strategy(rh.Stage("cross_attn", 0.5)), tmp_path / "s.toml")
    written = edit(strategy=rh.Stage("cross_attn", 0.5))

    assert same(edit(strategy=tmp_path / "s.toml"), written)
    assert same(edit(strategy=str(tmp_path / "s.toml")), written)

    tiny.picture().save(tmp_path / "a.png")
    rh.dump_strategy([rh.Reference(tmp_path / "a.png")], tmp_path / "r.toml")
    with pytest.raises(rh.InputError, match="load_references"):
        edit(strategy=tmp_path / "r.toml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strategy": "inject", "strength": 0.5}, "strategy and strength both say"),
        ({"strategy": "inject", "preset": "lighting-change"}, "strategy and preset both say"),
        ({"preset": 3}, "preset must be a preset, its name or its file, got int"),
        ({"preset": "nope"}, "there is no preset 'nope'"),
        ({"image": rh.Reference("a.png", "inject"), "strength": 0.5}, "leave strength out"),
        ({"strategy": "s.toml"}, "there is no file s.toml"),
        ({"strategy": {"method": "inject"}}, r"a stage is written Stage\('NAME', strength\)"),
        ({"seed": torch.Generator()}, "got a Generator; give it the number"),
        ({"references": [np.zeros((8, 8, 3), np.uint8)]}, "PIL.Image.fromarray"),
        ({"references": [torch.zeros(3, 8, 8)]}, "to_pil_image"),
        ({"image": "https://example.com/a.png"}, "no address is opened"),
    ],
)
def test_what_cannot_be_done_says_what_to_write(edit, arguments, said):
    """Before anything is encoded."""
    with pytest.raises(rh.RefhooksError, match=said):
        edit(**arguments)


def test_a_reference_takes_the_strategy_of_a_preset():
    """And says so where it is given the preset, whose denoise is of the whole edit."""
    with pytest.raises(rh.StrategyError, match=r"preset\.strategy"):
        rh.Strategy(rh.preset("lighting-change"))
    with pytest.raises(rh.UnknownNameError, match="load_strategy reads a file"):
        rh.method("s.toml")


def test_functions_are_schedules_and_switches(edit):
    """Of a stage: those that call them."""
    strategy = rh.Strategy(
        [
            rh.Stage("cross_attn", lambda step: 0.2 + step.progress, until=lambda step: step.index),
            rh.Stage("default"),
        ]
    )
    rows = [planned.rows[0] for planned in edit(strategy=strategy).timetable.steps]

    assert [(row.method, row.strength) for row in rows] == [
        ("cross_attn", 0.2),
        ("default", 1.0),
        ("default", 1.0),
    ]


@pytest.mark.parametrize("make", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_arrays_are_lists(edit, make):
    """Of strengths and of seeds; an array of one number is that number."""
    assert rh.Stage("inject", make([0.5, 1.0])) == rh.Stage("inject", [0.5, 1.0])
    assert rh.Stage("inject", make(0.5)) == rh.Stage("inject", 0.5)
    assert edit(seed=make([3, 5])).seeds == (3, 5)


def test_an_editor_is_called_like_a_pipeline(editor, edit):
    """What it lacks is said to be the pipeline's, where it is."""
    called = editor(tiny.picture(), "make it blue", steps=3, seed=1, cfg=2.0)

    assert same(called, edit())
    with pytest.raises(AttributeError, match=r"editor\.pipe\.to$"):
        editor.to("cpu")
    with pytest.raises(AttributeError, match=r"'Editor' object has no attribute 'nothing'$"):
        editor.nothing  # noqa: B018
    with pytest.raises(rh.InputError, match=r"Editor\.from_pretrained"):
        rh.Editor("toy")


def test_a_warning_points_at_the_line_that_called(editor):
    """Once, whatever part of refhooks it is from: the core, a schedule, a shipped mask."""
    strategy, white = rh.Stage("cross_attn", lambda _: 1.6), np.ones((8, 8))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            editor.edit(tiny.picture(), "x", steps=3, strategy=strategy, edit_mask=white)

    assert len({str(it.message) for it in caught}) == len(caught) == 3
    assert {it.filename for it in caught} == {__file__}
