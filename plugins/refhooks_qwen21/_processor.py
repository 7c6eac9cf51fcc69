"""Loading where torchvision is not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from transformers import Qwen2Tokenizer, Qwen3VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.processing_utils import ProcessorMixin

HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "token")
MARKS = {
    "image": "<|image_pad|>", "video": "<|video_pad|>",
    "vision_start": "<|vision_start|>", "vision_end": "<|vision_end|>",
}  # fmt: skip


class StillPictureProcessor(Qwen3VLProcessor):  # type: ignore[misc]  # transformers is untyped
    """A ``Qwen3VLProcessor`` for still pictures.

    The stock class insists on a video processor, which needs torchvision; edits show no videos.
    """

    @classmethod
    def get_attributes(cls) -> list[str]:
        """Name the parts: no video processor."""
        return ["image_processor", "tokenizer"]

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
    ) -> None:
        for name, token in MARKS.items():
            setattr(self, f"{name}_token", token)
            setattr(self, f"{name}_token_id", tokenizer.convert_tokens_to_ids(token))
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def load_pipeline(pipeline: Any, name_or_path: str, **kwargs: Any) -> Any:
    """Load a pipeline, with a processor that does without torchvision if that is missing."""
    kwargs.setdefault("use_safetensors", True)  # other formats can run code when they are read
    if "processor" not in kwargs and importlib.util.find_spec("torchvision") is None:
        hub = {option: kwargs[option] for option in HUB_OPTIONS if option in kwargs}
        kwargs["processor"] = _load_processor(name_or_path, hub)
    return pipeline.from_pretrained(name_or_path, **kwargs)


def _load_processor(name_or_path: str, hub: dict[str, Any]) -> StillPictureProcessor:
    if Path(name_or_path).is_dir():
        place: dict[str, Any] = {
            "pretrained_model_name_or_path": str(Path(name_or_path) / "processor")
        }
    else:
        place = {"pretrained_model_name_or_path": name_or_path, "subfolder": "processor", **hub}
    tokenizer = Qwen2Tokenizer.from_pretrained(**place)
    images = Qwen2VLImageProcessorPil.from_pretrained(**place)
    return StillPictureProcessor(images, tokenizer, chat_template=tokenizer.chat_template)
