"""Loading a pipeline whose text encoder sees still pictures, also where torchvision is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StillPictures", "load_pipeline"]

_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "token")


class StillPictures:
    """What makes a processor of ``transformers`` one for still pictures alone.

    The stock classes insist on a video processor, which needs torchvision; edits show no videos. It
    is the first of the bases, before the stock class.

    Attributes:
        marks: Tokens by what they stand for: ``image`` is ``image_token`` and ``image_token_id``.
    """

    marks: ClassVar[Mapping[str, str]] = {"image": "<|image_pad|>", "video": "<|video_pad|>"}

    @classmethod
    def get_attributes(cls) -> list[str]:
        """Name the parts: no video processor."""
        return ["image_processor", "tokenizer"]

    @staticmethod
    def image_processor_class() -> Any:
        """Return Qwen's image processor of PIL and numpy, which needs no torchvision.

        It is ``Qwen2VLImageProcessorPil`` since transformers 5.4, and was ``Qwen2VLImageProcessor``
        before, a name that now is torchvision's.
        """
        if importlib.util.find_spec("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl"):
            from transformers.models.qwen2_vl import (  # noqa: PLC0415  a second
                image_processing_pil_qwen2_vl as pil,
            )

            return pil.Qwen2VLImageProcessorPil
        from transformers.models.qwen2_vl import image_processing_qwen2_vl  # noqa: PLC0415

        return image_processing_qwen2_vl.Qwen2VLImageProcessor

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
    ) -> None:
        from transformers.processing_utils import ProcessorMixin  # noqa: PLC0415  a second

        for name, token in self.marks.items():
            setattr(self, f"{name}_token", token)
            setattr(self, f"{name}_token_id", tokenizer.convert_tokens_to_ids(token))
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def load_pipeline(
    pipeline: Any, name_or_path: str, processor: Any, *, part: str = "processor", **kwargs: Any
) -> Any:
    """Load a pipeline of a Qwen text encoder, with another processor if torchvision is missing.

    Args:
        pipeline: Its class.
        name_or_path: Repository or folder.
        processor: The class to use then, on :class:`StillPictures`; it is given an image processor,
            a tokenizer and the tokenizer's ``chat_template``.
        part: What the pipeline calls it.
        kwargs: As for ``pipeline.from_pretrained``.
    """
    kwargs.setdefault("use_safetensors", True)  # other formats can run code when they are read
    if part not in kwargs and importlib.util.find_spec("torchvision") is None:
        hub = {option: kwargs[option] for option in _HUB_OPTIONS if option in kwargs}
        kwargs[part] = _load_processor(processor, name_or_path, part, hub)
    return pipeline.from_pretrained(name_or_path, **kwargs)


def _load_processor(processor: Any, name_or_path: str, part: str, hub: dict[str, Any]) -> Any:
    from transformers import Qwen2Tokenizer  # noqa: PLC0415  plugins load without it

    folder = Path(name_or_path)
    place = (folder / part,) if folder.is_dir() else (name_or_path,)
    options = {} if folder.is_dir() else {"subfolder": part, **hub}
    tokenizer = Qwen2Tokenizer.from_pretrained(*place, **options)
    images = StillPictures.image_processor_class().from_pretrained(*place, **options)
    return processor(images, tokenizer, chat_template=tokenizer.chat_template)
