"""A small ``LongCatImageEditPipeline`` with random weights, built without a network."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    LongCatImageEditPipeline,
    LongCatImageTransformer2DModel,
)
from tokenizers import pre_tokenizers
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from refhooks.families import StillPictures
from refhooks_longcat._processor import StillPictureProcessor

WIDTH = 32
MARKS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip


def tokenizer() -> Any:
    """Return one that makes a token of each byte, and of each mark of the template."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate([*MARKS, *letters])}
    bytes_alone = Qwen2Tokenizer(vocab=vocabulary, merges=[], model_max_length=16384)
    bytes_alone.add_special_tokens({"additional_special_tokens": list(MARKS[1:])})
    return bytes_alone


def text_encoder(letters: Any) -> Any:
    """Return a random text encoder of one layer with a vision tower of one."""
    ids = letters.convert_tokens_to_ids
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={
                "vocab_size": len(letters), "hidden_size": WIDTH, "intermediate_size": WIDTH,
                "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2,
                "rope_parameters": {
                    "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3],
                },
                "bos_token_id": None, "eos_token_id": ids("<|im_end|>"),
                "pad_token_id": ids("<|endoftext|>"),
            },
            vision_config={
                "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2,
                "out_hidden_size": WIDTH, "fullatt_block_indexes": [0],
            },
            image_token_id=ids("<|image_pad|>"), video_token_id=ids("<|video_pad|>"),
            vision_start_token_id=ids("<|vision_start|>"),
            vision_end_token_id=ids("<|vision_end|>"),
        )
    )  # fmt: skip


def tiny_pipeline(*, blocks: int = 1, singles: int = 1, dtype: torch.dtype = torch.float32) -> Any:
    """Return a random pipeline; the same arguments give the same weights.

    Pictures of 64x64 pixels are 16x16 tokens, of 64 channels, which stock takes for granted.

    Args:
        blocks: Of two streams.
        singles: Blocks of one.
        dtype: Of the weights.
    """
    letters = tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKL(
            block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=16, norm_num_groups=4,
            sample_size=32, scaling_factor=0.8, shift_factor=0.1, use_quant_conv=False,
            use_post_quant_conv=False,
        )  # fmt: skip
        transformer = LongCatImageTransformer2DModel(
            num_layers=blocks, num_single_layers=singles, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=WIDTH, axes_dims_rope=(4, 6, 6),
        )  # fmt: skip
        encoder = text_encoder(letters)
    for part in (vae, transformer, encoder):
        torch.nn.Module.to(part.eval(), dtype)  # without diffusers' advice on casting
    images = StillPictures.image_processor_class()(min_pixels=28 * 28, max_pixels=56 * 56)
    pipe = LongCatImageEditPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=vae, text_encoder=encoder, tokenizer=letters, transformer=transformer,
        text_processor=StillPictureProcessor(images, letters),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe
