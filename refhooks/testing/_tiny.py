"""Tiny random models of the real classes, built without a network."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPipeline,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer, Qwen2VLProcessor
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
from transformers.processing_utils import ProcessorMixin

from refhooks.families import StillPictures
from refhooks.testing._encoders import qwen_text_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>",
    "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
WIDTH = 32
PIPELINES = {"edit": QwenImageEditPipeline, "plus": QwenImageEditPlusPipeline}
# (VAE stages, transformer blocks, heads): three widths, depths and VAE factors.
SHAPES = {"small": ((1, 2), 1, 1), "middle": ((1, 2, 2), 2, 2), "large": ((1, 1, 2, 2), 3, 3)}
# The one scheduler configuration that 2508, 2509 and 2511 are run with, and a static one.
DYNAMIC = {
    "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 8192, "max_shift": 0.9,
    "shift": 1.0, "shift_terminal": 0.02, "time_shift_type": "exponential",
    "use_dynamic_shifting": True,
}  # fmt: skip
STATIC = {"shift": 3.0, "use_dynamic_shifting": False}


class _Processor(Qwen2VLProcessor):  # type: ignore[misc]  # transformers is untyped
    """A ``Qwen2VLProcessor`` without video, whose own class needs torchvision."""

    @classmethod
    def get_attributes(cls) -> list[str]:
        return ["image_processor", "tokenizer"]

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_token = "<|image_pad|>"  # noqa: S105  not a secret
        self.video_token = "<|video_pad|>"  # noqa: S105
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=None)


@functools.cache
def tokenizer() -> Any:
    """Return a byte-level BPE trained on the template, which is then exactly 64 tokens long."""
    template = QwenImageEditPlusPipeline(None, None, None, None, None, None).prompt_template_encode
    for token in SPECIAL:
        template = template.replace(token, "")
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, min_frequency=1, show_progress=False, special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    inner.train_from_iterator([template.replace("{}", ""), "Picture 1: Picture 2: "], trainer)
    model = json.loads(inner.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    trained = Qwen2Tokenizer(vocab=model["vocab"], merges=merges, model_max_length=1024)
    trained.add_special_tokens({"additional_special_tokens": list(SPECIAL[1:])})
    return trained


def tiny_pipeline(
    kind: str = "plus",
    shape: str = "small",
    *,
    zero_cond_t: bool = False,
    scheduler: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Return a random pipeline; the same arguments give the same weights.

    Args:
        kind: ``edit`` (``QwenImageEditPipeline``) or ``plus`` (``QwenImageEditPlusPipeline``).
        shape: ``small``, ``middle`` or ``large``: 1, 2 or 3 blocks and heads, and a VAE that makes
            a picture 2, 4 or 8 times smaller.
        zero_cond_t: As in the checkpoint 2511: references are modulated at t = 0.
        scheduler: Its configuration; ``None``: the one of the released checkpoints.
        dtype: Of the weights.
    """
    stages, blocks, heads = SHAPES[shape]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKLQwenImage(
            base_dim=8, z_dim=4, dim_mult=list(stages), num_res_blocks=1,
            temperal_downsample=[False] * (len(stages) - 1),
            latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.1, 0.9, 1.3, 0.7],
        )  # fmt: skip
        transformer = QwenImageTransformer2DModel(
            patch_size=2, in_channels=16, out_channels=4, num_layers=blocks, attention_head_dim=16,
            num_attention_heads=heads, joint_attention_dim=WIDTH, axes_dims_rope=(4, 6, 6),
            zero_cond_t=zero_cond_t,
        )  # fmt: skip
        encoder = qwen_text_encoder(tokenizer(), WIDTH, layers=2)
    images = StillPictures.image_processor_class()(min_pixels=28 * 28, max_pixels=56 * 56)
    pipe = PIPELINES[kind](
        scheduler=FlowMatchEulerDiscreteScheduler(**(scheduler or DYNAMIC)),
        vae=vae.eval(), text_encoder=encoder.eval(), tokenizer=tokenizer(),
        processor=_Processor(images, tokenizer()), transformer=transformer.eval(),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    with _quiet():
        return pipe.to(dtype)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without diffusers' advice on casting, which nobody can follow here."""
    log = logging.getLogger("diffusers.models.modeling_utils")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def picture(seed: int = 0, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Return a random picture of a width and height."""
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)
