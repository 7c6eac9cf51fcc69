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

BASE: Final = "refhooks-toy"
"""What files made for these weights name as their base."""

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
    from refhooks_toy import _load  # noqa: PLC0415 - it imports torch, diffusers, transformers

    return _load.load(WEIGHTS if folder is None else folder, device, dtype)
