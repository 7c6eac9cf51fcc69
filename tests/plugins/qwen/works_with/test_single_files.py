"""A transformer from a single file: with every method what its dequantised weights give."""

from __future__ import annotations

import json

import plain
import pytest
import tiny
import torch
from accelerate import cpu_offload
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from peft import LoraConfig
from weight_layouts import LAYOUTS

import refhooks as rh
from refhooks import testing
from refhooks._base.weight_files.transformer import load_transformer_file
from refhooks_qwen21._tiny import tiny_pipeline as tiny21

KINDS = ["GGUF Q8_0", "GGUF Q4_0", "GGUF BF16", "scaled fp8 of ComfyUI", "int8 by rows"]
CPU = torch.device("cpu")
# Of a layer that a GGUF dequantises for each pass, and of one that was dequantised once: the same.
WAYS_21 = {
    "no strategy": None,
    "default": rh.Stage("default", 0.6),
    "inject": rh.Stage("inject", 0.6),
    "concat": rh.Stage(rh.method("concat", tied=True), 0.6),
    "cross_attn": rh.Stage("cross_attn", 0.6),
}


def wide_pipeline():
    """One whose every matrix has whole blocks of 32 values, the input projection's too."""
    pipe = tiny.build("plus", "middle")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        vae = AutoencoderKLQwenImage(
            base_dim=8, z_dim=8, dim_mult=[1, 2, 2], num_res_blocks=1,
            temperal_downsample=[False] * 2, latents_mean=[0.1] * 8, latents_std=[1.1] * 8,
        ).eval()  # fmt: skip
        old = dict(pipe.transformer.config)
        transformer = QwenImageTransformer2DModel.from_config(
            {**old, "in_channels": 32, "out_channels": 8}
        ).eval()
    return renewed(pipe, vae=vae, transformer=transformer)


def renewed(pipe, **parts):
    """The same pipeline with other parts."""
    new = type(pipe)(**{**pipe.components, **parts})
    new.set_progress_bar_config(disable=True)
    return new


def both(pipe, kind, folder):
    """A pipeline with the transformer of a file, and one with its dequantised weights."""
    layout = LAYOUTS[kind]
    pipe.transformer.save_pretrained(folder / "model" / "transformer")
    path = folder / f"model{layout.suffix}"
    state = {name: value.detach() for name, value in pipe.transformer.state_dict().items()}
    expected = layout.write(state, path)
    index = {"transformer": ["diffusers", type(pipe.transformer).__name__]}
    transformer = load_transformer_file(
        path, str(folder / "model"), index, dtype=torch.float32, device=None, options={}
    )
    pipe.transformer.load_state_dict(expected)
    return renewed(pipe, transformer=transformer), pipe


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_is_that_of_the_dequantised_weights(tmp_path, kind):
    """To the bit, and the stock pipeline's where there is no strategy."""
    own, dequantised = both(wide_pipeline(), kind, tmp_path)

    found = plain.every_way(own)

    assert torch.equal(found["no strategy"], plain.stock(own))
    plain.assert_same(plain.every_way(dequantised), found)


@pytest.mark.parametrize("kind", ["GGUF Q8_0", "scaled fp8"])
def test_every_method_on_qwen_image_21(tmp_path, kind):
    """To the bit."""
    own, dequantised = both(tiny21(), kind, tmp_path)

    for strategy in WAYS_21.values():
        latents = [
            rh.Editor(pipe, checkpoint=rh.Checkpoint(reference=64**2))
            .edit(testing.picture(), "x", strategy=strategy, steps=2, seed=1, height=64, width=64)
            .latents
            for pipe in (own, dequantised)
        ]
        assert torch.equal(*latents)


@pytest.mark.parametrize("how", ["model", "group", "leaf"])
@pytest.mark.parametrize("kind", ["GGUF Q8_0", "scaled fp8"])
def test_offloading_changes_nothing(tmp_path, kind, how):
    """Every hook of it, with the CPU on both sides."""
    own, _ = both(wide_pipeline(), kind, tmp_path)
    expected = plain.every_way(own)
    if how == "model":
        own.enable_model_cpu_offload(device="cpu")
    else:
        level = {"group": {"offload_type": "block_level", "num_blocks_per_group": 1},
                 "leaf": {"offload_type": "leaf_level"}}[how]  # fmt: skip
        own.transformer.enable_group_offload(onload_device=CPU, offload_device=CPU, **level)

    plain.assert_same(expected, plain.every_way(own))


def test_layer_by_layer_is_what_accelerate_cannot_do_with_a_gguf(tmp_path):
    """So the command line refuses it."""
    own, _ = both(wide_pipeline(), "GGUF Q8_0", tmp_path)

    def layer_by_layer():
        cpu_offload(own.transformer, CPU)
        plain.edited(own)

    with pytest.raises(Exception):  # noqa: B017, PT011  whichever it is today
        layer_by_layer()


@pytest.mark.parametrize("kind", KINDS)
def test_a_lora_acts_on_it(tmp_path, kind):
    """As on the dequantised weights; taken off, nothing is left of it."""
    own, dequantised = both(wide_pipeline(), kind, tmp_path)
    before = plain.edited(own)
    latents = []
    for pipe in (own, dequantised):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            pipe.transformer.add_adapter(
                LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False)
            )
        latents.append(plain.edited(pipe, plain.METHODS["cross_attn"]))
    with_lora = plain.edited(own)
    own.unload_lora_weights()

    assert torch.allclose(*latents, atol=1e-5)
    assert not torch.allclose(before, with_lora, atol=1e-4)
    assert torch.equal(before, plain.edited(own))


def test_its_recipe_and_its_grid_know_it(tmp_path):
    """Another file of the same name is another model."""
    from refhooks._apps.grids.fingerprint import fingerprint

    own, _ = both(wide_pipeline(), "GGUF Q8_0", tmp_path)
    editor = plain.editor_for(own)
    recipe = editor.edit(plain.SOURCE, "x", seed=1).recipe

    assert json.loads(recipe.to_json())["model"]["transformer"]["name"] == "model.gguf"
    assert fingerprint(editor, "") == fingerprint(editor, "")
