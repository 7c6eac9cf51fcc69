"""What cannot work is refused before the first step, with one message that says why."""

from __future__ import annotations

import json
from types import SimpleNamespace

import diffusers
import huggingface_hub.constants
import pytest
import tiny
import torch
from diffusers.configuration_utils import FrozenDict
from huggingface_hub.errors import HfHubHTTPError

import refhooks as rh
from refhooks._parts import checkpoint_files, loading

NAN, INF = float("nan"), float("inf")
STEPS = "steps must be a whole number from 1 to 1000"
SEED = "seed must be a whole number from 0 to"
CFG = "cfg must be a number from 0 to 100"
ARGUMENTS = [
    ({"steps": 0}, [STEPS, "got 0"]),
    ({"steps": 1.5}, [STEPS, "got 1.5"]),
    ({"steps": True}, [STEPS, "got True"]),
    ({"steps": 1001}, [STEPS, "got 1001"]),
    ({"height": 50}, ["height must be a multiple of 8, got 50; try 48"]),
    ({"width": 3}, ["width must be a multiple of 8, got 3; try 8"]),
    ({"height": 0}, ["height must be a whole number from 1", "got 0"]),
    ({"width": "64"}, ["width must be a whole number from 1", "got '64'"]),
    ({"resolution": 0}, ["resolution must be a whole number from 1", "got 0"]),
    ({"seed": -1}, [SEED, "got -1"]),
    ({"seed": True}, [SEED, "got True"]),
    ({"seed": 2**63}, [SEED]),
    ({"seed": 1.0}, [SEED, "got 1.0"]),
    ({"seed": [1, -1]}, [SEED, "got -1"]),
    ({"seed": []}, ["seed lists 0 numbers"]),
    ({"seed": [1, 2], "n": 3}, ["seed lists 2 numbers, but n is 3; leave n out"]),
    ({"n": 0}, ["n must be a whole number from 1", "got 0"]),
    ({"cfg": NAN}, [CFG, "got nan"]),
    ({"cfg": INF}, [CFG, "got inf"]),
    ({"cfg": -1}, [CFG, "got -1"]),
    ({"cfg": 10**400}, [CFG]),
    ({"cfg": True}, [CFG, "got True"]),
    ({"cfg": "4"}, [CFG, "got '4'"]),
    ({"prompt": 3}, ["prompt must be a string, or a list of strings, got 3"]),
    ({"prompt": []}, ["prompt must be a string", "got []"]),
    ({"prompt": ["a", None]}, ["prompt must be a string", "None"]),
    ({"prompt": b"night"}, ["prompt must be a string", "b'night'"]),
    ({"prompt": "a <|image_pad|> b"}, ["'<|image_pad|>'", "control token", "leave it out"]),
    ({"prompt": ["a", "b<|im_end|>"]}, ["'<|im_end|>'", "control token"]),
    ({"negative_prompt": "<|im_end|>"}, ["'<|im_end|>'", "control token"]),
    ({"negative_prompt": None}, ["negative_prompt must be a string", "got None"]),
    ({"negative_prompt": ["a", "b"]}, ["one for each of the 1 prompts, got 2"]),
    ({"references": [tiny.picture()] * 3}, ["at most 3 references", "source included", "got 4"]),
    ({"references": "coat.png"}, ["references must be a list, as [...], got str"]),
    ({"image": 3}, ["a picture must be a path or a PIL image, got int"]),
    ({"plugins": "guidance"}, ["plugins must be a list of objects, got str"]),
    ({"callback": 3}, ["callback must be callable as (step, latents, x0), got 3"]),
    ({"check": "always"}, ["check must be one of final, eager; got 'always'"]),
    ({"strategy": rh.Stage("default", [1, 1])},
     ["reference 1, stage 1 (method 'default')", "lists 2 numbers", "has 3 steps"]),
    ({"strategy": rh.Stage("default", until=0.5)},
     ["reference 1: the last stage ends at progress 0.5", "step 3 of 3"]),
    ({"references": [rh.Reference(tiny.picture(), rh.Stage("default", until=0.5))]},
     ["reference 2: the last stage ends"]),
    ({"strategy": 3}, ["a stage's method must be a registered name or a method instance, got 3"]),
    ({"strategy": type(rh.method("inject"))}, ["a stage's method must be", "Inject"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"), ARGUMENTS, ids=[str(arguments)[:40] for arguments, _ in ARGUMENTS]
)
def test_an_argument_is_refused_before_the_first_step(edit, never_called, arguments, words):
    """The message names the argument, its bounds and what came."""
    with pytest.raises(rh.InputError) as caught, never_called():
        edit(**arguments)

    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [{"references": [tiny.picture()]}, {"strategy": "default"}, {"strategy": rh.Stage("inject")}],
)
def test_references_need_a_source(editor, never_called, arguments):
    """Without a source there is no reference 1."""
    with pytest.raises(rh.InputError, match="need a source picture"), never_called():
        editor.edit(None, "a night", steps=2, **arguments)


def test_an_unknown_method_is_refused_before_the_first_step(edit, never_called):
    """Also where only the second stage of the second reference has it."""
    strategy = rh.Strategy([rh.Stage("default", until=0.5), rh.Stage("injekt")])

    with pytest.raises(rh.UnknownNameError, match="Did you mean 'inject'"), never_called():
        edit(references=[rh.Reference(tiny.picture(1), strategy)])


def test_too_many_references_for_the_edit_pipeline(never_called):
    """QwenImageEditPipeline takes the source alone."""
    editor = rh.Editor(tiny.build("edit", "small"))

    with pytest.raises(rh.InputError, match="qwen-image-edit takes at most 1 references"):
        editor.edit(tiny.picture(), "night", references=[tiny.picture(1)], steps=2)


def test_a_scheduler_of_another_kind_is_refused(edit, pipe, never_called, monkeypatch):
    """The message says which one it is, and which one works."""
    monkeypatch.setattr(pipe, "scheduler", diffusers.DPMSolverMultistepScheduler())

    with pytest.raises(rh.InputError) as caught, never_called():
        edit()

    assert "DPMSolverMultistepScheduler is not supported" in str(caught.value)
    assert "use FlowMatchEulerDiscreteScheduler" in str(caught.value)


@pytest.mark.parametrize("option", ["invert_sigmas", "stochastic_sampling"])
def test_an_option_of_the_scheduler_is_refused(edit, pipe, never_called, monkeypatch, option):
    """The message names it and says why."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_config(
        pipe.scheduler.config, **{option: True}
    )
    monkeypatch.setattr(pipe, "scheduler", scheduler)

    with pytest.raises(rh.InputError, match=f"{option} is not supported: it "), never_called():
        edit()


def test_a_single_step_works_or_says_why_not(edit, never_called):
    """A schedule that ends above 0 has no noise level for one step."""
    with pytest.raises(rh.InputError, match="at least 2"), never_called():
        edit(steps=1)


def test_a_guidance_distilled_transformer_is_refused(pipe, monkeypatch):
    """The model is refused when the editor is made."""
    config = {**pipe.transformer.config, "guidance_embeds": True}
    monkeypatch.setattr(pipe.transformer, "_internal_dict", FrozenDict(config))

    with pytest.raises(rh.ModelError, match="guidance_embeds"):
        rh.Editor(pipe)


@pytest.mark.parametrize("pipe", [3, None, torch.nn.Identity()])
def test_a_pipeline_that_nothing_adapts_is_refused(pipe):
    """The message lists what is supported."""
    with pytest.raises(rh.ModelError) as caught:
        rh.Editor(pipe)

    assert f"{type(pipe).__name__}: no plugin has an adapter" in str(caught.value)
    assert "QwenImageEditPlusPipeline" in str(caught.value)


INDEXES = {
    "none": (None, ["has no model_index.json"]),
    "no json": ("{", ["model_index.json is not valid JSON"]),
    "deep": ("[" * 100_000, ["model_index.json is not valid JSON"]),
    "list": ("[]", ["is a None", "QwenImageEditPipeline"]),
    "other class": (json.dumps({"_class_name": "FluxPipeline"}),
                    ["is a FluxPipeline", "no plugin has an adapter", "QwenImageEditPipeline",
                     "The nearest is the family 'flux-kontext' (FluxKontextPipeline)",
                     "`refhooks new NAME --kind family`"]),
    "hostile class": (json.dumps({"_class_name": "os.system"}), ["is a os.system"]),
    "list of classes": (json.dumps({"_class_name": ["a", "b"]}), ["is a ['a', 'b']"]),
    "nothing else": (json.dumps({"_class_name": "QwenImageEditPlusPipeline"}),
                     ["cannot be loaded"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", INDEXES)
def test_a_folder_that_is_no_supported_pipeline(tmp_path, kind):
    """The message names the folder and what is wrong with it."""
    text, words = INDEXES[kind]
    if text is not None:
        (tmp_path / "model_index.json").write_text(text)

    with pytest.raises(rh.ModelError) as caught:
        rh.Editor.from_pretrained(tmp_path)

    for word in (str(tmp_path), *words):
        assert word in str(caught.value)


def test_a_repository_while_offline_says_how_to_get_it(tmp_path, monkeypatch):
    """Nothing is downloaded, and the message holds the command that would."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(rh.ModelError) as caught:
        rh.Editor.from_pretrained("Qwen/Qwen-Image-Edit-2511", cache_dir=tmp_path)

    assert "Qwen/Qwen-Image-Edit-2511 is not on this machine" in str(caught.value)
    assert "run: hf download Qwen/Qwen-Image-Edit-2511" in str(caught.value)


def test_a_repository_that_the_hub_refuses(monkeypatch):
    """The Hub's own reason is passed on."""

    def refuse(*_, **__):
        answer = SimpleNamespace(headers={}, request=None)
        raise HfHubHTTPError("404: no such repository", response=answer)

    monkeypatch.setattr(checkpoint_files, "hf_hub_download", refuse)

    with pytest.raises(rh.ModelError, match="does not give nobody/nothing: 404: no such"):
        rh.Editor.from_pretrained("nobody/nothing")


@pytest.mark.parametrize("name", ["tooy", "./tooy", "/no/such/folder", "two words", "a/b/c", ""])
def test_a_name_that_is_no_model(name, monkeypatch):
    """Neither folder nor embedded model nor repository; the network is not asked."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    registry = rh.Registry((), {}, {}, {"toy": rh.EmbeddedModel("toy", "a toy", lambda: None)})

    with pytest.raises(rh.ModelError) as caught:
        loading.load_model(name, registry=registry, device=None, dtype=None, kwargs={})

    assert f"there is no model {name!r}" in str(caught.value)
    assert "Embedded: toy" in str(caught.value)
    if "tooy" in name:
        assert "Did you mean 'toy'?" in str(caught.value)


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "tpu", 1.5])
def test_a_device_that_is_not_there(device):
    """Refused before anything is loaded; the message lists those that are."""
    with pytest.raises(rh.ModelError) as caught:
        rh.Editor.from_pretrained("nobody/nothing", device=device)

    assert f"there is no device {str(device)!r} here; available: cpu" in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_cuda_where_there_is_none():
    """The device that most users will ask for."""
    with pytest.raises(rh.ModelError, match="there is no device 'cuda' here; available: cpu"):
        rh.Editor.from_pretrained("nobody/nothing", device="cuda")


@pytest.mark.parametrize("dtype", ["bfloat", "int8", torch.int64, 16, []])
def test_a_dtype_that_models_do_not_run_in(dtype):
    """Refused before anything is loaded."""
    with pytest.raises(rh.ModelError) as caught:
        rh.Editor.from_pretrained("nobody/nothing", dtype=dtype)

    assert "dtype must be one of float32, float16, bfloat16" in str(caught.value)
    assert repr(dtype) in str(caught.value)
    if dtype == "bfloat":
        assert "Did you mean 'bfloat16'?" in str(caught.value)


def test_a_saved_pipeline_is_loaded_again(pipe, tmp_path):
    """The same weights give the same picture, in the dtype and on the device asked for."""
    pipe.save_pretrained(tmp_path)

    loaded = rh.Editor.from_pretrained(str(tmp_path), device="cpu", dtype="float32")
    half = rh.Editor.from_pretrained(tmp_path, dtype="bfloat16")
    loaded.pipe.set_progress_bar_config(disable=True)

    before, after = (
        editor.edit(None, "a night", steps=2, seed=1, height=32, width=32)
        for editor in (rh.Editor(pipe), loaded)
    )
    # Not to the bit: tensors mapped from a file are aligned otherwise, and kernels round by that.
    torch.testing.assert_close(after.latents, before.latents, atol=1e-5, rtol=0)
    assert torch.bfloat16 == half.pipe.transformer.dtype
