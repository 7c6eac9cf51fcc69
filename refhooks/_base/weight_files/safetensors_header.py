"""The header of a safetensors file, of which nothing is believed.

Eight bytes with the length of a JSON table, the table, and the data: for each tensor its dtype,
shape, and where its bytes begin and end in the data, one behind the other without a gap.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, BinaryIO

from refhooks._base.weight_files.entries import DTYPES, MAX_TENSORS, Entry
from refhooks.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["ITEM_BYTES", "MAX_HEADER", "read_safetensors_header"]

MAX_HEADER = 2**25  # bytes; trainers write all of their settings into it
MAX_AXES = 8
ITEM_BYTES = {kind: dtype.itemsize for kind, dtype in DTYPES.items()} | {
    "F8_E8M0": 1, "U16": 2, "U32": 4, "U64": 8,
}  # fmt: skip
_LENGTH = 8


def read_safetensors_header(
    file: BinaryIO,
    size: int,
    label: object,
    *,
    refusal: type[InputError | ModelError] = ModelError,
    most: int = MAX_TENSORS,
) -> tuple[dict[str, Entry], dict[str, Any]]:
    """Return the tensors of a file, and what its header says besides.

    Args:
        file: At its first byte.
        size: Of the file, bytes.
        label: How messages name it.
        refusal: The error that is raised.
        most: Tensors that it may hold.

    Returns:
        Its tensors by name, of a dtype of ``ITEM_BYTES``, and the values of its metadata, which are
        texts in a file that the library wrote.

    Raises:
        refusal: It is no such file, damaged, or holds more or less than its header says.
    """
    length = int.from_bytes(file.read(_LENGTH), "little")
    if size < _LENGTH or not 2 <= length <= min(MAX_HEADER, size - _LENGTH):
        raise refusal(
            f"{label}: not a safetensors file, or cut off: it has {size} bytes, and its header says"
            f" that it is {length} bytes long"
        )
    try:
        table, notes = _table(file.read(length), most)
        start = _LENGTH + length
        entries = {name: _entry(name, told, start, size) for name, told in table.items()}
        _check_places(entries.values(), start, size)
    except _Wrong as wrong:
        raise refusal(f"{label}: {wrong}") from wrong.__cause__
    return entries, notes


class _Wrong(Exception):  # noqa: N818  becomes the caller's error
    """What is wrong with a file."""


def _table(data: bytes, most: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is said of tensors, and the metadata."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Wrong("not a safetensors file: its header is no JSON") from error
    notes = table.pop("__metadata__", None) if isinstance(table, dict) else None
    if not isinstance(table, dict) or not isinstance(notes, dict | None):
        raise _Wrong("not a safetensors file: its header is no table of tensors")
    if not 0 < len(table) <= most:
        raise _Wrong(f"holds {len(table)} tensors; expected 1 to {most}")
    return table, notes or {}


def _entry(name: str, told: Any, start: int, size: int) -> Entry:
    told = told if isinstance(told, dict) else {}
    kind, shape, place = (told.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not (_counts(shape) and len(shape) <= MAX_AXES and _counts(place) and len(place) == 2):
        raise _Wrong(f"damaged: its header says no shape or place of {name!r:.120}")
    if not isinstance(kind, str) or kind not in ITEM_BYTES:
        raise _Wrong(f"{name!r:.120} has the dtype {kind!r:.40}, which is not known")
    begin, end = place
    if start + end > size:
        raise _Wrong(
            f"cut off: it has {size} bytes, and {name!r:.120} would end at {start + end}; download"
            " it again"
        )
    if end - begin != math.prod(shape) * ITEM_BYTES[kind]:
        raise _Wrong(f"damaged: {name!r:.120} has {end - begin} bytes for {shape} values of {kind}")
    return Entry(name, kind, tuple(shape), start + begin, end - begin)


def _check_places(entries: Collection[Entry], start: int, size: int) -> None:
    """Refuse tensors that share bytes, and bytes that no tensor has."""
    end = start
    for entry in sorted(entries, key=lambda it: (it.start, it.size)):
        if entry.start < end:
            raise _Wrong(f"damaged: {entry.name!r:.120} begins within another tensor")
        end = entry.start + entry.size
    taken = sum(entry.size for entry in entries)
    if taken != size - start:
        raise _Wrong(f"damaged: its tensors take {taken} of {size - start} bytes")


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(it) is int and 0 <= it < 2**63 for it in value)
