"""Loading from a folder, as a checkpoint that save_pretrained wrote."""

from __future__ import annotations

import importlib.util
import shutil
from types import SimpleNamespace

import diffusers
import pytest
import tiny
import torch
from diffusers import QwenImageEditPlusPipeline
from transformers import Qwen2Tokenizer

import refhooks as rh
from refhooks.families import StillPictures

PROMPT = "make it blue"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bf16 checkpoint, as the real ones are."""
    place = tmp_path_factory.mktemp("checkpoint")
    tiny.build("plus", "middle", dtype=torch.bfloat16).save_pretrained(place)
    return place


def edit(editor):
    """One edit at the tests' size."""
    return editor.edit(tiny.picture(), PROMPT, steps=2, seed=1, height=48, width=64)


@pytest.mark.usefixtures("small_stock")
def test_a_checkpoint_keeps_the_dtype_of_its_files(folder):
    """Every part has it, and what was loaded gives the stock pipeline's picture."""
    editor = rh.Editor.from_pretrained(folder)
    editor.pipe.set_progress_bar_config(disable=True)

    parts = {editor.pipe.vae.dtype, editor.pipe.transformer.dtype, editor.pipe.text_encoder.dtype}
    assert parts == {torch.bfloat16}
    stock = editor.pipe(
        image=[tiny.picture()], prompt=PROMPT, negative_prompt=" ", num_inference_steps=2,
        height=48, width=64, generator=torch.Generator().manual_seed(1), output_type="latent",
    ).images  # fmt: skip
    assert torch.equal(stock, edit(editor).latents)


@pytest.mark.usefixtures("small_stock")
@pytest.mark.parametrize("dtype", ["float32", "fp32", torch.float32])
def test_a_dtype_is_taken_by_every_part(folder, dtype):
    """By name, by short name, or as torch has it."""
    editor = rh.Editor.from_pretrained(str(folder), dtype=dtype, device="cpu")
    editor.pipe.set_progress_bar_config(disable=True)

    assert editor.pipe.text_encoder.dtype == torch.float32
    assert edit(editor).latents.dtype == torch.float32


FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize("where", ["load", "to"])
def test_a_model_that_does_not_fit_says_what_to_do(folder, monkeypatch, where):
    """Whether it is loading that fills the device, or moving there."""

    def fail(*_, **__):
        raise FULL

    if where == "load":
        monkeypatch.setattr(QwenImageEditPlusPipeline, "from_pretrained", fail)
    else:
        monkeypatch.setattr(QwenImageEditPlusPipeline, "to", fail)
    with pytest.raises(rh.OutOfMemoryError, match=r"does not fit .* --offload model .* --quantize"):
        rh.Editor.from_pretrained(folder, device="cpu")


def test_a_damaged_file_of_weights_is_named(folder, tmp_path):
    """With the model that it is of."""
    place = tmp_path / "damaged"
    shutil.copytree(folder, place)
    [weights] = (place / "text_encoder").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])

    with pytest.raises(rh.ModelError, match="damaged cannot be loaded: "):
        rh.Editor.from_pretrained(place)


def test_a_name_that_no_file_can_have_is_no_model():
    """As one that is only unknown."""
    with pytest.raises(rh.ModelError, match="there is no model"):
        rh.Editor.from_pretrained("x" * 300)


@pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is not None, reason="diffusers loads the processor"
)
@pytest.mark.parametrize(
    ("package", "family", "pipeline"),
    [
        ("refhooks_qwen", "QwenImageEditPlus", diffusers.QwenImageEditPlusPipeline),
        ("refhooks_qwen21", "QwenImage21", diffusers.QwenImage21Pipeline),
    ],
)
def test_the_processor_is_asked_for_where_the_rest_is(monkeypatch, package, family, pipeline):
    """Without torchvision it is loaded apart: of the same revision, with the same token."""
    asked = []

    def load(name, **options):
        asked.append((name, options))
        return SimpleNamespace(chat_template="{}")

    module = importlib.import_module(f"{package}._family")
    for part in (Qwen2Tokenizer, StillPictures.image_processor_class()):
        monkeypatch.setattr(part, "from_pretrained", load)
    monkeypatch.setattr(module, "StillPictureProcessor", lambda *parts, **options: (parts, options))
    monkeypatch.setattr(pipeline, "from_pretrained", lambda _name, **options: options)
    given = {"revision": "a" * 40, "token": "secret", "local_files_only": True}

    loaded = getattr(module, family).load(pipeline, "owner/name", **given, dtype=torch.float32)

    assert asked == [("owner/name", {"subfolder": "processor", **given})] * 2
    assert loaded.items() >= {**given, "dtype": torch.float32}.items()
    assert loaded["processor"][1] == {"chat_template": "{}"}
