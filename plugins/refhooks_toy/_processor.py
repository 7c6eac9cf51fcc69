"""The toy model's processor: pictures and text to what its text encoder takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from transformers import Qwen2VLProcessor
from transformers.processing_utils import ProcessorMixin  # noqa: F401  diffusers looks for it here

from refhooks.families import StillPictures

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

SEEN: Final = 56
"""Height and width of a square picture as the vision tower sees it: 4 text tokens."""


class ToyProcessor(StillPictures, Qwen2VLProcessor):  # type: ignore[misc]
    """A `Qwen2VLProcessor` without video, whose own class needs torchvision even for pictures."""


def new_processor(tokenizer: Qwen2Tokenizer) -> ToyProcessor:
    """Build the processor; a square picture costs 4 text tokens, whatever its size."""
    most = (SEEN + 1) ** 2  # at SEEN² its rounding would make some large pictures a quarter of it
    images = StillPictures.image_processor_class()(min_pixels=SEEN * SEEN, max_pixels=most)
    return ToyProcessor(images, tokenizer)
