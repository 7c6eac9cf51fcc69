"""A small ``QwenImage21Pipeline`` with random weights, built without a network."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLQwenImage21,
    FlowMatchEulerDiscreteScheduler,
    QwenImage21Pipeline,
    QwenImage21Transformer2DModel,
)
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from refhooks.families import StillPictures
from refhooks.testing import byte_tokenizer
from refhooks_qwen21._processor import MARKS, StillPictureProcessor

WIDTH = 32
TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *MARKS.values())
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{{ part.text }}{% endfor %}<|im_end|>\n{% endfor %}"
)


def text_encoder(letters: Any) -> Any:
    """Return a random text encoder of two layers with a vision tower of two."""
    ids = {f"{name}_token_id": letters.convert_tokens_to_ids(it) for name, it in MARKS.items()}
    text = {
        "vocab_size": len(letters), "hidden_size": WIDTH, "intermediate_size": WIDTH,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
        "pad_token_id": 0,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3],
            "mrope_interleaved": True,
        },
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2,
        "out_hidden_size": WIDTH, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    return Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(text_config=text, vision_config=vision, **ids)
    )


def tiny_pipeline(
    *,
    blocks: int = 2,
    heads: int = 2,
    sample_sigmas: list[float] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Return a random pipeline; the same arguments give the same weights.

    Args:
        blocks: Of the transformer.
        heads: Of its attention, each of 16 channels.
        sample_sigmas: Fixed noise levels, as the turbo checkpoint has them.
        dtype: Of the weights.
    """
    letters = byte_tokenizer(TOKENS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKLQwenImage21(
            base_dim=4, decoder_base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1,
            latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.1, 0.9, 1.3, 0.7],
        )  # fmt: skip
        transformer = QwenImage21Transformer2DModel(
            in_channels=4, out_channels=4, num_layers=blocks, attention_head_dim=16,
            num_attention_heads=heads, context_in_dim=WIDTH, axes_dims_rope=(4, 6, 6),
        )  # fmt: skip
        encoder = text_encoder(letters)
    for part in (vae, transformer, encoder):
        torch.nn.Module.to(part, dtype)  # without diffusers' advice on casting
    images = StillPictures.image_processor_class()(
        patch_size=16, merge_size=2, min_pixels=32 * 32, max_pixels=2**22
    )
    pipe = QwenImage21Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae.eval(), text_encoder=encoder.eval(), transformer=transformer.eval(),
        processor=StillPictureProcessor(images, letters, chat_template=CHAT),
        sample_sigmas=sample_sigmas,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe
