"""What a file of weights says that it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
import torch

from refhooks.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DTYPES", "EIGHT_BITS", "MAX_TENSORS", "Entry", "WeightFile", "shape_text"]

MAX_TENSORS = 100_000  # the largest models of this field have some thousands
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
EIGHT_BITS = ("F8_E4M3", "F8_E5M2", "I8")


@attrs.frozen
class Entry:
    """A tensor of a file.

    Attributes:
        name: As the file has it.
        kind: Its dtype, a key of ``DTYPES``, or of a GGUF the name of its type, such as ``Q4_0``.
        shape: Of its values.
        start: Where its bytes begin in the file.
        size: How many they are.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    start: int
    size: int


@attrs.frozen(eq=False)
class WeightFile:
    """A file of weights, of which the header was read.

    Attributes:
        path: Where it is.
        form: What it is.
        entries: Its tensors by their names.
        metadata: Texts that the header carries besides.
        stamp: Size and time of change when the header was read.
    """

    path: Path
    form: Literal["safetensors", "gguf"]
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    stamp: tuple[int, int]

    def error(self, problem: str) -> ModelError:
        """Return an error about the file."""
        return ModelError(f"{self.path}: {problem}")


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape for a message, such as ``64x32``."""
    return "x".join(map(str, shape)) or "one number"
