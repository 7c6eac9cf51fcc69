"""What users do to a pipeline; offload, casts, LoRAs and compilation are in `plugins/families`."""

from __future__ import annotations

import pytest
import torch
from small21 import Small, rgb

import refhooks as rh


def test_int8_weights():
    """By torchao: as stock."""
    quantization = pytest.importorskip("torchao.quantization")
    own = Small()
    quantization.quantize_(own.pipe.transformer, quantization.Int8WeightOnlyConfig())

    assert torch.equal(own.edit(rgb(2), cfg=2.0).latents, own.stock(rgb(2), cfg=2.0)[0])


def test_context_parallelism_is_refused(small, monkeypatch):
    """By diffusers, which has no plan for the model; where a plan is given to it, by us."""
    assert small.pipe.transformer._cp_plan is None
    for block in small.pipe.transformer.transformer_blocks:
        monkeypatch.setattr(block.attn.processor, "_parallel_config", object(), raising=False)
    monkeypatch.setattr(
        small.pipe.transformer, "forward", lambda **_: pytest.fail("a step was made")
    )

    with pytest.raises(rh.InputError, match="which diffusers has no plan on Qwen-Image"):
        small.edit(rgb(1))


def test_other_processors_are_refused_where_attention_is_edited(small):
    """The flex processor runs as it is where nothing is edited, and cannot be weighed."""
    from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21FlexAttnProcessor

    blocks = small.pipe.transformer.transformer_blocks
    stock = [block.attn.processor for block in blocks]
    for block in blocks:
        block.attn.set_processor(QwenImage21FlexAttnProcessor())
    try:
        with pytest.raises(rh.InputError, match=r"needs the stock one .*QwenImage21AttnProcessor"):
            small.edit(rgb(1), strategy=rh.Stage("cross_attn", 0.5))
    finally:
        for block, processor in zip(blocks, stock, strict=True):
            block.attn.set_processor(processor)
