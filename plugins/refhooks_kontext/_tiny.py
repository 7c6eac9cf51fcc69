"""A small ``FluxKontextPipeline`` with random weights, built without a network."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    FluxTransformer2DModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from refhooks.testing import letter_tokenizer

WIDTH = 16  # of the text encoders
READS = 77  # tokens of CLIP


def vae() -> Any:
    """Return a random VAE that makes a picture 2 times smaller."""
    return AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4,
        sample_size=32, scaling_factor=0.8, shift_factor=0.1, use_quant_conv=False,
        use_post_quant_conv=False,
    )  # fmt: skip


def tiny_pipeline(
    *, guided: bool = True, blocks: int = 1, singles: int = 1, dtype: torch.dtype = torch.float32
) -> Any:
    """Return a random pipeline; the same arguments give the same weights.

    Pictures of 64x64 pixels are 16x16 tokens.

    Args:
        guided: Whether the guidance is an input of the model.
        blocks: Of two streams.
        singles: Blocks of one.
        dtype: Of the weights.
    """
    letters = letter_tokenizer(READS)
    clip = CLIPTextConfig(
        vocab_size=len(letters), hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=READS, eos_token_id=1, bos_token_id=1,
        pad_token_id=0, projection_dim=WIDTH,
    )  # fmt: skip
    t5 = T5Config(
        vocab_size=len(letters), d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = {
            "vae": vae(),
            "transformer": FluxTransformer2DModel(
                in_channels=16, num_layers=blocks, num_single_layers=singles, attention_head_dim=16,
                num_attention_heads=2, joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH,
                guidance_embeds=guided, axes_dims_rope=(4, 6, 6),
            ),
            "text_encoder": CLIPTextModel(clip),
            "text_encoder_2": T5EncoderModel(t5),
        }  # fmt: skip
    for part in parts.values():
        torch.nn.Module.to(part.eval(), dtype)  # without diffusers' advice on casting
    pipe = FluxKontextPipeline(
        **parts, tokenizer=letters, tokenizer_2=letter_tokenizer(512),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe
