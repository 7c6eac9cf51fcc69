"""Small FLUX.3 pipelines of diffusers' modular blocks, with random weights and no network."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLFlux2,
    Flux3DistilledModularPipeline,
    Flux3ModularPipeline,
    Flux3Transformer2DModel,
)
from diffusers.modular_pipelines.flux3.image_processor import Flux3ImageProcessor
from diffusers.utils import logging
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from refhooks.families import StillPictures
from refhooks.testing import byte_tokenizer
from refhooks_flux3._processor import MARKS, StillPictureProcessor

WIDTH = 16  # of the text encoder
LAYERS = 32  # that the blocks read of it, up to
READ = 8  # of them
TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *MARKS.values())
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
)


def _text_encoder(letters: Any) -> Any:
    ids = {f"{name}_token_id": letters.convert_tokens_to_ids(it) for name, it in MARKS.items()}
    text = {
        "vocab_size": len(letters), "hidden_size": WIDTH, "intermediate_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 2,
        "head_dim": 8, "pad_token_id": 0,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1],
            "mrope_interleaved": True,
        },
    }  # fmt: skip
    vision = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2,
        "out_hidden_size": WIDTH, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    return Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(text_config=text, vision_config=vision, **ids)
    )


def tiny_modular(
    *,
    distilled: bool = False,
    layers: int = 1,
    singles: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Return a random modular pipeline; the same arguments give the same weights.

    Pictures of 64x64 pixels are 16x16 tokens. The prompt upsampler is left out of it.

    Args:
        distilled: Whether it is a flow map.
        layers: Blocks of each stream.
        singles: Blocks of all.
        dtype: Of the weights.
    """
    letters = byte_tokenizer(TOKENS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKLFlux2(
            block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4,
        )  # fmt: skip
        vae.bn.running_mean.uniform_(-0.2, 0.2)
        vae.bn.running_var.uniform_(0.6, 1.4)
        transformer = Flux3Transformer2DModel(
            in_channels=16, cond_in_channels=16, num_layers=layers, num_single_layers=singles,
            attention_head_dim=16, num_attention_heads=2, joint_attention_dim=READ * WIDTH,
            axes_dims_rope=(4, 4, 4, 4), flow_map=distilled,
        )  # fmt: skip
        encoder = _text_encoder(letters)
    for part in (vae, transformer, encoder):
        torch.nn.Module.to(part.eval(), dtype)  # without diffusers' advice on casting
    for name, weight in transformer.named_parameters():
        if "norm_q" in name or "norm_k" in name:
            weight.data = weight.data.float()  # as loading leaves them
    images = StillPictures.image_processor_class()(patch_size=16, merge_size=2)
    processor = StillPictureProcessor(images, letters, chat_template=_CHAT)
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # guiders are said to be experimental
    try:
        pipe = (Flux3DistilledModularPipeline if distilled else Flux3ModularPipeline)()
        pipe._blocks.sub_blocks.pop("prompt_upsampler")
        pipe.update_components(
            vae=vae, transformer=transformer, text_encoder=encoder, tokenizer=processor,
            image_processor=Flux3ImageProcessor(vae_scale_factor=4, vae_latent_channels=4),
        )  # fmt: skip
    finally:
        logging.set_verbosity(level)
    pipe.set_progress_bar_config(disable=True)
    return pipe
