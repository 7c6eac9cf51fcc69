"""The header of a safetensors file, of which nothing is believed.

Eight bytes with the length of a JSON table, the table, and the data: for each tensor its dtype,
shape, and where its bytes begin and end in the data.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, BinaryIO

from refhooks._base.weight_files.entries import DTYPES, MAX_TENSORS, Entry
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_safetensors_header"]

MAX_HEADER = 32 * 2**20
MAX_AXES = 8
_LENGTH = 8


def read_safetensors_header(
    file: BinaryIO, size: int, path: Path
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the tensors of a file of ``size`` bytes, and the texts of its header.

    Raises:
        ModelError: It is no such file, damaged, or holds more or less than its header says.
    """
    length = int.from_bytes(file.read(_LENGTH), "little")
    if size < _LENGTH or not 2 <= length <= min(MAX_HEADER, size - _LENGTH):
        raise ModelError(
            f"{path}: not a safetensors file, or cut off: it has {size} bytes, and its header says"
            f" that it is {length} bytes long"
        )
    table = _table(file.read(length), path)
    texts = table.pop("__metadata__", {})
    if not 0 < len(table) <= MAX_TENSORS:
        raise ModelError(f"{path}: holds {len(table)} tensors; expected 1 to {MAX_TENSORS}")
    start = _LENGTH + length
    entries = {name: _entry(name, told, start, size, path) for name, told in table.items()}
    unnamed = size - start - sum(entry.size for entry in entries.values())
    if unnamed:
        raise ModelError(
            f"{path}: damaged: its tensors take {size - start - unnamed} of {size - start} bytes"
        )
    return entries, {str(key): str(text) for key, text in texts.items()}


def _table(data: bytes, path: Path) -> dict[str, Any]:
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not a safetensors file: its header is no JSON") from error
    if not isinstance(table, dict) or not isinstance(table.get("__metadata__", {}), dict):
        raise ModelError(f"{path}: not a safetensors file: its header is no table of tensors")
    return table


def _entry(name: str, told: Any, start: int, size: int, path: Path) -> Entry:
    told = told if isinstance(told, dict) else {}
    kind, shape, place = (told.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (_counts(shape) and len(shape) <= MAX_AXES and _counts(place) and len(place) == 2):
        raise ModelError(f"{path}: damaged: its header says no shape or place of {name!r:.120}")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise ModelError(f"{path}: {name!r:.120} has the dtype {kind!r:.40}, which is not known")
    begin, end = place
    if start + end > size:
        raise ModelError(
            f"{path}: cut off: it has {size} bytes, and {name!r:.120} would end at {start + end};"
            " download it again"
        )
    if end - begin != math.prod(shape) * DTYPES[kind].itemsize:
        raise ModelError(
            f"{path}: damaged: {name!r:.120} has {end - begin} bytes for {shape} values of {kind}"
        )
    return Entry(name, kind, tuple(shape), start + begin, end - begin)


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(it) is int and 0 <= it < 2**63 for it in value)
