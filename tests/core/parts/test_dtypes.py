"""Parts in dtypes of their own are cast where they meet; under torch.autocast all is as stock."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from small import FAMILIES, SIDE, SOURCE, edit

import refhooks as rh
from refhooks._parts.autoencoder import _in_dtype_of

HALF, FULL = torch.bfloat16, torch.float32
PARTS = ("transformer", "text_encoder", "vae")
MIXED = [mix for mix in itertools.product((HALF, FULL), repeat=3) if len(set(mix)) > 1]
METHODS = {
    "native": None,
    "inject": rh.Stage("inject", 0.6),
    "blend": rh.Stage(rh.method("inject", formula="blend"), 0.6),
    "in latents": rh.Stage(rh.method("inject", where="latents"), 0.6),
    "pull": rh.Stage(rh.method("inject", formula="pull"), 0.6),
    "concat": rh.Stage(rh.method("concat", tied=True), 0.6),
    "cross_attn": rh.Stage("cross_attn", 0.6),
    "reuse": rh.Stage(rh.method("cross_attn", reuse="once"), 0.6),
    "guidance": rh.Stage("guidance", 0.6),
    "region": rh.Strategy("default", masks=[rh.mask("0,0,50%,100%", kind="region")]),
    "content": rh.Strategy("default", masks=[rh.mask("0,0,50%,100%", kind="content")]),
}


UNABLE = {"stranger": ("cross_attn", "reuse", "concat", "region"), "2.1": (), "plus": ()}
ABLE = [(family, name) for family in UNABLE for name in METHODS if name not in UNABLE[family]]


@pytest.mark.parametrize("mix", MIXED, ids=lambda mix: "-".join(str(it)[6:] for it in mix))
@pytest.mark.parametrize("family", FAMILIES)
def test_parts_in_several_dtypes(new, family, mix):
    """But for rounding the picture is that of all in the transformer's dtype, the run's."""
    editor = new(family)
    editor.pipe.to(mix[0])
    expected = np.asarray(edit(editor).image.convert("RGB"), dtype=float)
    for part, dtype in zip(PARTS, mix, strict=True):
        getattr(editor.pipe, part).to(dtype)

    result = edit(editor)

    assert result.latents.dtype == mix[0]
    assert np.abs(np.asarray(result.image.convert("RGB"), dtype=float) - expected).mean() < 6


@pytest.mark.parametrize("method", METHODS)
def test_methods_on_parts_in_several_dtypes(new, method):
    """Whatever is mixed in, weighed, stored or joined; also with an edit mask and denoise."""
    editor = new("plus")
    editor.pipe.transformer.to(HALF)

    result = edit(editor, strategy=METHODS[method])
    masked = edit(editor, strategy=METHODS[method], denoise=0.5, edit_mask="0,0,50%,50%")

    assert result.latents.dtype == HALF
    assert torch.isfinite(masked.latents).all()


@pytest.fixture
def small_stock(monkeypatch):
    """The areas of the stock pipelines are those of these tests."""
    area, original = SIDE * SIDE, pipeline_qwenimage_edit.calculate_dimensions
    monkeypatch.setattr(
        pipeline_qwenimage_edit, "calculate_dimensions", lambda _area, ratio: original(area, ratio)
    )
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", area)
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "CONDITION_IMAGE_SIZE", area)


def stock(pipe, family, cfg):
    """Latents and pictures of the stock pipeline."""
    own = {"output_resolution": SIDE} if family == "2.1" else {}
    image = SOURCE if family == "edit" else [SOURCE]
    seen = {}
    images = pipe(
        image=image, prompt="make it blue", negative_prompt=" " if cfg > 1 else None,
        true_cfg_scale=cfg, num_inference_steps=3, height=SIDE, width=SIDE, **own,
        generator=torch.Generator().manual_seed(1),
        callback_on_step_end=lambda _pipe, _step, _t, tensors: seen.update(tensors) or tensors,
    ).images  # fmt: skip
    return seen["latents"], images[0]


@pytest.mark.usefixtures("small_stock")
@pytest.mark.parametrize("half", [(), ("vae",), ("text_encoder", "vae"), PARTS], ids=str)
@pytest.mark.parametrize("cfg", [1.0, 2.5])
@pytest.mark.parametrize("family", ["edit", "plus", "2.1", "toy"])
def test_under_autocast_it_is_the_stock_pipeline(new, family, cfg, half):
    """To the bit, latents and picture, whatever the dtypes of the parts are."""
    editor = new(family)
    for part in half:
        getattr(editor.pipe, part).to(HALF)

    with torch.autocast("cpu", dtype=HALF):
        latents, image = stock(editor.pipe, family, cfg)
        result = edit(editor, cfg=cfg, steps=3)

    assert torch.equal(latents, result.latents)
    assert np.array_equal(np.asarray(image), np.asarray(result.image))


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # of torch itself
@pytest.mark.parametrize("check", ["final", "eager"])
@pytest.mark.parametrize(("family", "method"), ABLE)
def test_methods_work_under_autocast(new, family, method, check):
    """Hooks see one dtype, whatever the model's layers return."""
    editor = new(family)
    seen = set()

    class Sees:
        @rh.hookimpl
        def refhooks_step(self, latents):
            seen.add(latents.dtype)

        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            seen.add(inputs.target.dtype)

        @rh.hookimpl
        def refhooks_velocity(self, latents, predictions, velocity):
            seen.update(it.dtype for it in (latents, velocity, *predictions.values()))

    with torch.autocast("cpu", dtype=HALF):
        result = edit(editor, strategy=METHODS[method], plugins=[Sees()], check=check)

    assert torch.isfinite(result.latents).all()
    assert seen == {FULL}


def test_a_text_encoder_whose_weights_rest_in_8_bits(new):
    """Its prompts come out in the dtype in which it computes."""
    editor = new("plus")
    expected = edit(editor).latents
    from diffusers.hooks import apply_layerwise_casting

    apply_layerwise_casting(
        editor.pipe.text_encoder, storage_dtype=torch.float8_e4m3fn, compute_dtype=FULL
    )

    latents = edit(editor).latents

    assert latents.dtype == FULL
    assert not torch.equal(expected, latents)
    assert (expected - latents).abs().mean() < 0.1


def test_the_dtype_of_a_run_is_the_one_that_the_transformer_computes_in():
    """Layers at rest in 8 bits, and quantisers, say it; one that says none leaves it to prompts."""
    editor = rh.Editor(tiny.build("plus", "middle"))
    model = editor.pipe.transformer
    assert editor.family.dtype == FULL

    model.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=HALF)
    assert editor.family.dtype == HALF

    model.hf_quantizer = type("Quantizer", (), {"compute_dtype": FULL})()
    assert editor.family.dtype == FULL

    editor.pipe.transformer = torch.nn.Linear(1, 1)
    assert editor.family.dtype is None


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16),
        (torch.float16, torch.float16),
        (torch.float8_e4m3fn, torch.bfloat16),  # of stored weights: nothing is computed in it
        (torch.int8, torch.bfloat16),
        ("float32", torch.bfloat16),  # no dtype
        (None, torch.bfloat16),
    ],
)
def test_latents_are_decoded_in_the_dtype_of_the_vae(held, expected):
    """Where it computes in that."""
    latents = torch.zeros(1, 4, 8, dtype=torch.bfloat16)

    assert _in_dtype_of(SimpleNamespace(dtype=held), latents).dtype == expected
