"""Load the toy pipeline from a folder of weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import torch
    from diffusers import QwenImageEditPlusPipeline

WEIGHTS: Final = Path(__file__).with_name("weights")
"""The weights that come with the package."""

PROJECTION: Final = WEIGHTS / "concat_projection.safetensors"
"""The projection that lets a reference join the toy model's input channels."""

SAMPLES: Final = Path(__file__).with_name("samples")
"""Sample pictures, made by the generator from held-out seeds."""


def load_pipeline(
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    *,
    folder: Path | None = None,
) -> QwenImageEditPlusPipeline:
    """Load the toy model: a `QwenImageEditPlusPipeline` on `device`, in `dtype` (default float32).

    `folder` holds other weights than the package's own, in the layout of `save_pretrained`.
    """
    import torch
    from diffusers import (
        AutoencoderKLQwenImage,
        FlowMatchEulerDiscreteScheduler,
        QwenImageEditPlusPipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

    from refhooks_toy._processor import new_processor

    root = WEIGHTS if folder is None else folder
    dtype = torch.float32 if dtype is None else dtype
    tokenizer = Qwen2Tokenizer.from_pretrained(root / "tokenizer")
    weights = {"torch_dtype": dtype, "local_files_only": True}
    pipe = QwenImageEditPlusPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(root / "scheduler"),
        vae=AutoencoderKLQwenImage.from_pretrained(root / "vae", **weights),
        text_encoder=Qwen2_5_VLForConditionalGeneration.from_pretrained(
            root / "text_encoder", dtype=dtype, local_files_only=True
        ),
        tokenizer=tokenizer,
        processor=new_processor(tokenizer),
        transformer=QwenImageTransformer2DModel.from_pretrained(root / "transformer", **weights),
    )
    return pipe.to(device)
