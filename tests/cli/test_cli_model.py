"""``--offload``, ``--quantize`` and ``--lora``."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import diffusers
import pytest
import tiny
import torch
import transformers
from diffusers import QwenImageEditPlusPipeline
from peft import LoraConfig, get_peft_model_state_dict
from PIL import Image, ImageChops
from safetensors import safe_open
from safetensors.torch import save_file

import refhooks as rh
from refhooks._loras.state import states_of
from refhooks.cli import _model
from refhooks.cli._model import ModelPlan

SIZES = rh.Checkpoint(output=1024, reference=1024, vision=1024, cfg=2.0, steps=2)


def without(monkeypatch, package):
    """Let a package be one that is not installed."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else found(name)
    )


def refused(result, *parts):
    """Check that a command ended with 2 and says all of this."""
    assert result.exit_code == 2, result.output
    for part in parts:
        assert part in result.stderr


@pytest.fixture
def accelerator(monkeypatch):
    """Let there be an accelerator."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))


@pytest.mark.parametrize("mode", ["model", "group"])
def test_an_offloaded_model_gives_the_same_picture(mode):
    """To the bit; the reference's own methods find the model's parts where they were."""
    latents = []
    for offload in ("none", mode):
        editor = rh.Editor(tiny.build("plus", "middle"), checkpoint=SIZES)
        _model._offload(editor.pipe, ModelPlan(name="x", device="cpu", offload=offload))
        reference = rh.Reference(tiny.picture(2), rh.Stage("inject", 0.5))
        result = editor.edit(
            tiny.picture(1), "x", strategy="cross_attn", references=[reference], seed=1
        )
        latents.append(result.latents)
    assert torch.equal(*latents)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", []),
        ("model", [("enable_model_cpu_offload", {"device": "cuda:1"})]),
        ("sequential", [("enable_sequential_cpu_offload", {"device": "cuda:1"})]),
        (
            "group",
            [
                (
                    "enable_group_offload",
                    {
                        "onload_device": torch.device("cuda:1"),
                        "offload_type": "leaf_level",
                        "use_stream": True,
                    },
                )
            ],
        ),
    ],
)
def test_each_way_to_offload_is_diffusers_own(mode, expected):
    """On the device that was asked for."""
    called = []

    class Pipe:
        def __getattr__(self, name):
            return lambda **options: called.append((name, options))

    _model._offload(Pipe(), ModelPlan(name="x", device="cuda:1", offload=mode))
    assert called == expected


@pytest.mark.usefixtures("accelerator")
def test_an_offloaded_model_is_not_moved_whole(edit, monkeypatch, pipe):
    """It is loaded into main memory; only then are its parts sent to the accelerator."""
    loaded, offloaded = [], []

    def load(_name, **options):
        loaded.append(options)
        return rh.Editor(pipe, checkpoint=SIZES)

    monkeypatch.setattr(rh.Editor, "from_pretrained", load)
    monkeypatch.setattr(_model, "_offload", lambda _pipe, plan: offloaded.append(plan.device))
    assert edit("--model", "a/b", "--offload", "model").exit_code == 0
    assert loaded == [{"dtype": None}]
    assert offloaded == ["cuda"]


@pytest.mark.usefixtures("unloadable")
def test_offloading_needs_an_accelerator(edit, monkeypatch):
    """On a machine without one the line says so."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    refused(edit("--offload", "group"), "--offload group", "there is none here")


@pytest.mark.parametrize(
    ("kind", "package"), [("int8", "torchao"), ("fp8", "torchao"), ("nf4", "bitsandbytes")]
)
@pytest.mark.usefixtures("unloadable")
def test_quantizing_without_its_package_says_what_to_install(edit, monkeypatch, kind, package):
    """As the extra of this distribution."""
    without(monkeypatch, package)
    result = edit("--model", "a/b", "--quantize", kind)
    refused(result, package, 'pip install "refhooks[quantize]"')


@pytest.fixture
def packages(monkeypatch):
    """Stand in for torchao and bitsandbytes, and show what diffusers is handed."""

    class Config:
        def __init__(self, *arguments, **options):
            self.value = (*arguments, options)

    for library in (diffusers, transformers):
        _ = library.TorchAoConfig, library.BitsAndBytesConfig  # imported now, when all is real
    schemes = SimpleNamespace(
        Int8WeightOnlyConfig=lambda: "int8", Float8WeightOnlyConfig=lambda: "float8"
    )
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: object())
    monkeypatch.setitem(sys.modules, "torchao", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torchao.quantization", schemes)
    for library in (diffusers, transformers):
        monkeypatch.setattr(library, "TorchAoConfig", Config)
        monkeypatch.setattr(library, "BitsAndBytesConfig", Config)
    monkeypatch.setattr(
        diffusers, "PipelineQuantizationConfig", lambda quant_mapping: quant_mapping
    )


NF4 = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_compute_dtype": torch.bfloat16,
}


@pytest.mark.parametrize(
    ("kind", "expected"), [("int8", ("int8", {})), ("fp8", ("float8", {})), ("nf4", (NF4,))]
)
@pytest.mark.usefixtures("accelerator", "packages")
def test_the_two_large_models_are_quantized(edit, monkeypatch, pipe, kind, expected):
    """The transformer and the text encoder, in bfloat16 where no dtype is given."""
    loaded = []

    def load(_name, **options):
        loaded.append(options)
        return rh.Editor(pipe, checkpoint=SIZES)

    monkeypatch.setattr(rh.Editor, "from_pretrained", load)
    assert edit("--model", "a/b", "--quantize", kind).exit_code == 0
    [options] = loaded
    mapping = options.pop("quantization_config")
    assert options == {"dtype": "bfloat16", "device": "cuda"}
    assert {name: config.value for name, config in mapping.items()} == {
        "transformer": expected,
        "text_encoder": expected,
    }


@pytest.mark.usefixtures("packages", "unloadable")
def test_nf4_needs_an_accelerator(edit, monkeypatch):
    """Bitsandbytes has its kernels there."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    refused(edit("--model", "a/b", "--quantize", "nf4"), "nf4 needs an accelerator", "int8")


@pytest.fixture
def lora(folder, monkeypatch, toy):
    """A LoRA file for the tiny model, which is made anew for each edit."""
    pipe = tiny.build("plus", "middle")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pipe.transformer.add_adapter(
            LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False)
        )
    layers = get_peft_model_state_dict(pipe.transformer)
    QwenImageEditPlusPipeline.save_lora_weights(
        folder, transformer_lora_layers=layers, weight_name="my.style.safetensors"
    )
    object.__setattr__(toy, "load", lambda: tiny.build("plus", "middle"))
    return "my.style.safetensors"


def same(one, other):
    """Whether two files hold the same picture."""
    return ImageChops.difference(Image.open(one), Image.open(other)).getbbox() is None


def test_a_lora_acts_with_its_scale(edit, lora):
    """1 by default; 0 is as if it were not there; two at 0.5 are one at 1."""
    runs = {
        "plain.png": [],
        "zero.png": ["--lora", f"{lora}:0"],
        "one.png": ["--lora", f"{lora}:1"],
        "default.png": ["--lora", lora],
    }
    for output, arguments in runs.items():
        assert edit(*arguments, output=output).exit_code == 0
    assert same("plain.png", "zero.png")
    assert same("one.png", "default.png")
    assert not same("plain.png", "one.png")


def test_two_loras_act_together(edit, lora, monkeypatch):
    """Each with its own scale."""
    states = []
    monkeypatch.setattr(
        _model, "_offload", lambda pipe, _plan: states.extend(states_of(pipe.transformer))
    )
    assert edit("--lora", f"{lora}:0.25", "--lora", lora).exit_code == 0
    assert [(state.name, state.scale, state.active) for state in states] == [
        ("my-style", 0.25, True),
        ("my-style-2", 1.0, True),
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("img_in.oft_R.weight", "of the kind OFT, which is not applied"),
        ("img_in.weight", "none of its 1 tensors is named as a LoRA's"),
    ],
)
@pytest.mark.usefixtures("unloadable")
def test_a_kind_that_is_not_applied_is_refused_before_the_model_loads(edit, key, said):
    """Its keys tell it."""
    save_file({key: torch.zeros(2, 2)}, "other.safetensors")
    refused(edit("--lora", "other.safetensors"), "--lora other.safetensors", said)


@pytest.mark.parametrize("name", ["unet.down.lora_A.weight", "transformer.no.lora_A.weight", "x"])
@pytest.mark.usefixtures("lora")
def test_a_lora_that_does_not_fit_is_no_silent_no_op(edit, name):
    """Diffusers only logs it."""
    save_file({name: torch.zeros(2, 2)}, "other.safetensors")
    refused(edit("--lora", "other.safetensors"), "--lora other.safetensors", "fit")


@pytest.mark.usefixtures("unloadable")
def test_a_lora_without_peft_says_what_to_install(edit, lora, monkeypatch):
    """As the extra of this distribution."""
    without(monkeypatch, "peft")
    refused(edit("--lora", lora), 'pip install "refhooks[lora]"')


def test_an_unheard_of_number_of_tensors_is_refused(edit, lora, monkeypatch):
    """A hostile file may name millions."""
    monkeypatch.setattr("refhooks._loras.header.MAX_TENSORS", 3)
    refused(edit("--lora", lora), "tensors; expected 1 to 3")


@pytest.mark.parametrize(
    ("arguments", "metadata", "expected"),
    [
        ([], {}, None), (["--shift", 3], {}, 3.0), ([], {"shift": "2"}, 2.0),
        (["--shift", 3], {"shift": "2"}, 3.0),
    ],
)  # fmt: skip
def test_the_shift_of_the_noise_levels(edit, lora, monkeypatch, arguments, metadata, expected):
    """``--shift``, or else what a LoRA's metadata says; a LoRA for few steps without is told."""
    given = []
    monkeypatch.setattr("refhooks.cli._model.set_shift", lambda _pipe, shift: given.append(shift))
    with safe_open(lora, "pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    save_file(tensors, "lightning.safetensors", metadata={"format": "pt", **metadata})

    result = edit("--lora", "lightning.safetensors", *arguments)

    assert result.exit_code == 0, result.stderr
    assert given == ([] if expected is None else [expected])
    assert "'lightning.safetensors' is distilled for few steps" in result.stderr


@pytest.mark.parametrize("shift", ["0", "-1", "101", "x", "nan"])
def test_a_shift_that_is_none(edit, shift):
    """Refused before anything is loaded."""
    assert edit("--shift", shift).exit_code == 2
