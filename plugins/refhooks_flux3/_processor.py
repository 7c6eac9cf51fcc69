"""The processor where torchvision is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from transformers import Qwen3VLProcessor
from transformers.processing_utils import ProcessorMixin  # noqa: F401  diffusers looks for it here

from refhooks.families import StillPictures

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKS = {
    **StillPictures.marks, "vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>",
}  # fmt: skip


class StillPictureProcessor(StillPictures, Qwen3VLProcessor):  # type: ignore[misc]  # untyped
    """A ``Qwen3VLProcessor`` for still pictures; FLUX.3 shows its text encoder none at all."""

    marks: ClassVar[Mapping[str, str]] = MARKS
