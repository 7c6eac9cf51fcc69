"""A LoRA, loaded, weighed, swapped and unloaded, while an editor is there."""

from __future__ import annotations

import plain
import pytest
import tiny
import torch

LAYERS = ["img_in", *[
    f"transformer_blocks.{block}.{name}" for block in range(2)
    for name in ("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_v_proj",
                 "img_mlp.net.0.proj")
]]  # fmt: skip


def lora(pipe, seed, rank=4):
    """Random weights in the format of diffusers, large enough to be seen."""
    draw = torch.Generator().manual_seed(seed)
    weights = {}
    for name in LAYERS:
        layer = pipe.transformer.get_submodule(name)
        layer = getattr(layer, "base_layer", layer)
        for part, shape in (("A", (rank, layer.in_features)), ("B", (layer.out_features, rank))):
            key = f"transformer.{name}.lora_{part}.weight"
            weights[key] = 0.2 * torch.randn(shape, generator=draw)
    return weights


def with_lora(seed):
    """A pipeline with one."""
    pipe = tiny.build("plus", "middle")
    pipe.load_lora_weights(lora(pipe, seed), adapter_name="one")
    return pipe


def test_loaded_and_unloaded_again(own, expected):
    """As the stock pipeline with it and, for every method, as one with it fused; then as before."""
    own.load_lora_weights(lora(own, 1), adapter_name="one")
    fused = with_lora(1)
    fused.fuse_lora()
    fused.unload_lora_weights()

    found = plain.every_way(own)

    assert torch.equal(found["no strategy"], plain.stock(own))
    plain.assert_close(plain.every_way(fused), found, atol=1e-5)
    assert all(not torch.allclose(found[name], expected[name], atol=1e-3) for name in found)
    own.unload_lora_weights()
    plain.assert_same(expected, plain.every_way(own))


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
def test_two_with_weights(own):
    """`set_adapters` between two edits of one editor acts on the second."""
    own.load_lora_weights(lora(own, 1), adapter_name="one")
    own.load_lora_weights(lora(own, 2, rank=2), adapter_name="two")
    editor = plain.editor_for(own)

    def edit():
        return editor.edit(plain.SOURCE, plain.PROMPT, seed=1).latents

    own.set_adapters(["one", "two"], [0.5, 0.8])
    both = edit()
    assert torch.equal(both, plain.stock(own))
    own.set_adapters(["one"], [1.0])
    torch.testing.assert_close(edit(), plain.edited(with_lora(1)), atol=1e-6, rtol=0)
    own.disable_lora()
    assert torch.equal(edit(), plain.edited(tiny.build("plus", "middle")))


@pytest.mark.filterwarnings("ignore:.*hotswap.*:UserWarning")
def test_hot_swapped(own):
    """The second one's weights in the first one's place, for every method."""
    own.enable_lora_hotswap(target_rank=8)
    own.load_lora_weights(lora(own, 1), adapter_name="one")
    first = plain.every_way(own)

    own.load_lora_weights(lora(own, 2), adapter_name="one", hotswap=True)
    second = plain.every_way(own)

    assert torch.equal(second["no strategy"], plain.stock(own))
    plain.assert_close(plain.every_way(with_lora(2)), second, atol=1e-5)
    assert all(not torch.allclose(first[name], second[name], atol=1e-3) for name in first)
