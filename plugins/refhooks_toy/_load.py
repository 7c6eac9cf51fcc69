"""Load a pipeline folder into the real classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
from transformers.utils import logging

from refhooks_toy._processor import new_processor

if TYPE_CHECKING:
    from pathlib import Path


def load(
    root: Path, device: str | torch.device, dtype: torch.dtype | None
) -> QwenImageEditPlusPipeline:
    """Load the pipeline that `save_pretrained` wrote to `root`, in `dtype` (default float32)."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # loading takes a moment, and a bar says nothing
    try:
        return _pipeline(root, dtype).to(device)
    finally:
        if shown:
            logging.enable_progress_bar()


def _pipeline(root: Path, dtype: torch.dtype | None) -> QwenImageEditPlusPipeline:
    options = {
        "torch_dtype": torch.float32 if dtype is None else dtype,
        "local_files_only": True,
        "use_safetensors": True,
    }
    tokenizer = Qwen2Tokenizer.from_pretrained(root / "tokenizer", local_files_only=True)
    return QwenImageEditPlusPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(root / "scheduler"),
        vae=AutoencoderKLQwenImage.from_pretrained(root / "vae", **options),
        text_encoder=Qwen2_5_VLForConditionalGeneration.from_pretrained(
            root / "text_encoder",
            dtype=options["torch_dtype"],
            local_files_only=True,
            use_safetensors=True,
        ),
        tokenizer=tokenizer,
        processor=new_processor(tokenizer),
        transformer=QwenImageTransformer2DModel.from_pretrained(root / "transformer", **options),
    )
