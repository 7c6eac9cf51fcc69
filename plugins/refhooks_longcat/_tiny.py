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

from refhooks.families import StillPictures
from refhooks.testing import byte_tokenizer, qwen_text_encoder
from refhooks_longcat._processor import StillPictureProcessor

WIDTH = 32
MARKS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip


def tiny_pipeline(*, blocks: int = 1, singles: int = 1, dtype: torch.dtype = torch.float32) -> Any:
    """Return a random pipeline; the same arguments give the same weights.

    Pictures of 64x64 pixels are 16x16 tokens, of 64 channels, which stock takes for granted.

    Args:
        blocks: Of two streams.
        singles: Blocks of one.
        dtype: Of the weights.
    """
    letters = byte_tokenizer(MARKS)
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
        encoder = qwen_text_encoder(letters, WIDTH)
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
