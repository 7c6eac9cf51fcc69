"""What stands for the text encoder and its processor, where only the transformer matters."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

TEMPLATE = 64  # tokens that the pipeline takes off the front of every prompt


class _Batch(dict[str, Any]):
    """What a processor returns."""

    def to(self, device: Any) -> _Batch:
        return _Batch({name: value.to(device) for name, value in self.items()})


class Processor:
    """Stands for the pipeline's processor: every prompt is as long as any other."""

    def __init__(self, text: int) -> None:
        self._length = TEMPLATE + text
        self.image_processor = types.SimpleNamespace(
            merge_size=1, get_number_of_image_patches=lambda *_: 1
        )

    def tokenizer(self, _text: str, **_: Any) -> dict[str, list[int]]:
        """Return as many tokens for any text."""
        return {"input_ids": [0] * self._length}

    def __call__(self, text: Sequence[str], **_: Any) -> _Batch:
        shape = (len(text), self._length)
        return _Batch(
            input_ids=torch.zeros(shape, dtype=torch.long),
            attention_mask=torch.ones(shape, dtype=torch.long),
        )


class _Encoded:
    def __init__(self, hidden: Tensor) -> None:
        self.hidden_states = (hidden,)


class TextEncoder(torch.nn.Module):
    """Stands for the text encoder: random embeddings, the same for all prompts."""

    def __init__(self, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1, dtype=dtype))
        self._width = width

    @property
    def dtype(self) -> torch.dtype:
        return self.place.dtype

    @property
    def device(self) -> torch.device:
        return self.place.device

    def forward(self, input_ids: Tensor, **_: Any) -> _Encoded:
        generator = torch.Generator().manual_seed(0)
        hidden = torch.randn(input_ids.shape[1], self._width, generator=generator)
        return _Encoded(hidden.to(self.place).expand(input_ids.shape[0], -1, -1))
