"""The parts of the toy model: real classes of Qwen-Image-Edit, made small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from torch import nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from refhooks_toy._processor import new_processor

if TYPE_CHECKING:
    from diffusers import AutoencoderKLQwenImage
    from transformers import Qwen2Tokenizer

WIDTH: Final = 128
"""Hidden size of the text encoder."""

SHIFT: Final = 3.0
"""The sigma shift of training and sampling: `3u / (1 + 2u)` for u from 1 down to 0."""


def new_scheduler() -> FlowMatchEulerDiscreteScheduler:
    """Build the scheduler, with the shift that training used."""
    return FlowMatchEulerDiscreteScheduler(shift=SHIFT, use_dynamic_shifting=False)


def new_text_encoder(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLForConditionalGeneration:
    """Build the untrained text encoder and its vision tower."""
    ids = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": 2048,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [4, 6, 6],
            },
            "bos_token_id": None,
            "eos_token_id": ids("<|im_end|>"),
            "pad_token_id": ids("<|endoftext|>"),
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [0, 1],
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def new_transformer(heads: int = 4, layers: int = 6) -> QwenImageTransformer2DModel:
    """Build the untrained transformer, each block starting as the identity."""
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=64,
        out_channels=16,
        num_layers=layers,
        attention_head_dim=32,
        num_attention_heads=heads,
        joint_attention_dim=WIDTH,
        axes_dims_rope=(8, 12, 12),
    )
    for block in transformer.transformer_blocks:
        nn.init.zeros_(block.img_mod[1].weight)
        nn.init.zeros_(block.txt_mod[1].weight)
        nn.init.zeros_(block.img_mod[1].bias)
        nn.init.zeros_(block.txt_mod[1].bias)
    nn.init.zeros_(transformer.proj_out.weight)
    nn.init.zeros_(transformer.proj_out.bias)
    return transformer


def assemble(
    vae: AutoencoderKLQwenImage,
    transformer: QwenImageTransformer2DModel,
    text_encoder: Qwen2_5_VLForConditionalGeneration,
    tokenizer: Qwen2Tokenizer,
) -> QwenImageEditPlusPipeline:
    """Assemble the pipeline."""
    return QwenImageEditPlusPipeline(
        scheduler=new_scheduler(),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        processor=new_processor(tokenizer),
        transformer=transformer,
    )
