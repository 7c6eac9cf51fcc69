"""Loading from a folder, as a checkpoint that save_pretrained wrote."""

from __future__ import annotations

import pytest
import tiny
import torch

import refhooks as rh

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
