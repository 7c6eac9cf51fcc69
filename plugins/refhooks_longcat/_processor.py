"""The processor where torchvision is not installed."""

from __future__ import annotations

from transformers import Qwen2VLProcessor
from transformers.processing_utils import ProcessorMixin  # noqa: F401  diffusers looks for it here

from refhooks.families import StillPictures


class StillPictureProcessor(StillPictures, Qwen2VLProcessor):  # type: ignore[misc]  # untyped
    """A ``Qwen2VLProcessor`` for still pictures."""
