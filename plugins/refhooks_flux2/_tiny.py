"""Small FLUX.2 pipelines with random weights, built without a network."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinKVPipeline,
    Flux2KleinPipeline,
    Flux2Pipeline,
    Flux2Transformer2DModel,
)
from transformers import (
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from refhooks.testing import letter_tokenizer

WIDTH = 16  # of the text encoder
_CHAT = "{% for message in messages %}{{ message.content }}{% endfor %}"
_CHAT_OF_PARTS = (
    "{% for message in messages %}{% for part in message.content %}{{ part.text }}{% endfor %}"
    "{% endfor %}"
)


def _parts(*, guided: bool, blocks: int, singles: int) -> dict[str, Any]:
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, norm_num_groups=4,
    )  # fmt: skip
    vae.bn.running_mean.uniform_(-0.2, 0.2)
    vae.bn.running_var.uniform_(0.6, 1.4)
    transformer = Flux2Transformer2DModel(
        in_channels=16, num_layers=blocks, num_single_layers=singles, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=3 * WIDTH, axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=guided,
    )  # fmt: skip
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    return {"vae": vae.eval(), "transformer": transformer.eval(), "scheduler": scheduler}


def _layers(letters: Any, count: int) -> dict[str, Any]:
    return {
        "vocab_size": len(letters), "hidden_size": WIDTH, "intermediate_size": WIDTH, "head_dim": 8,
        "num_hidden_layers": count, "num_attention_heads": 2, "num_key_value_heads": 2,
        "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None,
    }  # fmt: skip


def _finished(pipe: Any, dtype: torch.dtype) -> Any:
    for part in (pipe.vae, pipe.transformer, pipe.text_encoder):
        torch.nn.Module.to(part, dtype)  # without diffusers' advice on casting
    pipe.set_progress_bar_config(disable=True)
    return pipe


def tiny_klein(
    *,
    distilled: bool = False,
    pipeline: Any = Flux2KleinPipeline,
    blocks: int = 1,
    singles: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Return a random klein; the same arguments give the same weights.

    Pictures of 64x64 pixels are 16x16 tokens.

    Args:
        distilled: Whether it says that its guidance is distilled away.
        pipeline: Its class.
        blocks: Of two streams.
        singles: Blocks of one.
        dtype: Of the weights.
    """
    letters = letter_tokenizer(chat_template=_CHAT)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = _parts(guided=False, blocks=blocks, singles=singles)
        text_encoder = Qwen3ForCausalLM(Qwen3Config(**_layers(letters, 27)))
    pipe = pipeline(
        **parts, text_encoder=text_encoder.eval(), tokenizer=letters, is_distilled=distilled
    )
    return _finished(pipe, dtype)


def tiny_kv(**options: Any) -> Any:
    """Return a random klein that keeps keys and values; options as for :func:`tiny_klein`."""
    return tiny_klein(distilled=True, pipeline=Flux2KleinKVPipeline, **options)


def tiny_dev(*, blocks: int = 1, singles: int = 1, dtype: torch.dtype = torch.float32) -> Any:
    """Return a random dev, whose guidance is an input; options as for :func:`tiny_klein`.

    Its real processor also reads pictures, which an edit does not need: a tokenizer stands for it.
    """
    letters = letter_tokenizer(chat_template=_CHAT_OF_PARTS)
    vision = {
        "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
        "head_dim": 8, "image_size": 16, "patch_size": 4,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = _parts(guided=True, blocks=blocks, singles=singles)
        config = Mistral3Config(
            text_config={"model_type": "mistral", **_layers(letters, 30)},
            vision_config={"model_type": "pixtral", **vision},
            image_token_index=1,
        )
        text_encoder = Mistral3ForConditionalGeneration(config)
    pipe = Flux2Pipeline(**parts, text_encoder=text_encoder.eval(), tokenizer=letters)
    return _finished(pipe, dtype)
