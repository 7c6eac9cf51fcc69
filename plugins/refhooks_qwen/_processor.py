"""The processor where torchvision is not installed."""

from __future__ import annotations

from transformers import Qwen2VLProcessor

from refhooks.families import StillPictures


class StillPictureProcessor(StillPictures, Qwen2VLProcessor):  # type: ignore[misc]  # untyped
    """A ``Qwen2VLProcessor`` for still pictures."""
