"""What a safetensors file says of itself, checked before any of its tensors is read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.files import is_file, is_folder
from refhooks._base.shown import shown
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

MAX_TENSORS = 20_000  # a LoRA on every layer of a 20 B model has about 3,000
MAX_HEADER = 2**25  # bytes; trainers write all of their settings into it
MAX_BYTES = 2**34
MAX_SIDE_FILE = 2**20
SIDE_FILE = "adapter_config.json"
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


@attrs.frozen
class Entry:
    """One tensor of a file: its dtype as safetensors names it, and its shape."""

    dtype: str
    shape: tuple[int, ...]


@attrs.frozen
class Header:
    """What a file says of itself.

    Attributes:
        path: Of the file.
        label: How messages name it.
        entries: Its tensors by key.
        notes: Its metadata, and the text of peft's ``adapter_config.json`` beside it.
        stamp: Size and time of the file when it was read.
    """

    path: Path
    label: str
    entries: Mapping[str, Entry]
    notes: Mapping[str, str]
    stamp: tuple[int, int]


def read_header(path: str | Path, label: str | None = None) -> Header:
    """Return what a file says of itself.

    Args:
        path: Of a ``.safetensors`` file.
        label: How messages name it; by default as a LoRA.

    Raises:
        InputError: There is no such file, it is none of safetensors, is cut off, or beyond the
            caps of 2^34 bytes, 20,000 tensors and a header of 2^25 bytes.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"a LoRA is the path of a .safetensors file; got {shown(path)}")
    place, label = Path(path), label or f"LoRA {path}"
    if is_folder(place):
        raise InputError(f"{label} is a folder; give a .safetensors file")
    if place.suffix.lower() != ".safetensors":
        raise InputError(f"{label}: only .safetensors files are read, others can run code")
    if not is_file(place):
        raise InputError(f"{label}: there is no such file")
    try:
        with place.open("rb") as opened:
            stamp = stamp_of(place)
            told = _json_of(opened, stamp[0], label)
    except OSError as error:
        raise InputError(f"{label} cannot be read: {error}") from error
    notes = _notes(told.pop("__metadata__", None))
    if not 0 < len(told) <= MAX_TENSORS:
        raise InputError(f"{label}: holds {len(told)} tensors; expected 1 to {MAX_TENSORS}")
    return Header(place, label, told, notes | _side_file(place), stamp)


def stamp_of(path: Path) -> tuple[int, int]:
    """Return the size of a file, bytes, and when it was changed, nanoseconds."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _json_of(opened: BinaryIO, size: int, label: str) -> dict[str, Any]:
    """Return the entries, with the metadata among them as it is."""
    length = int.from_bytes(opened.read(8), "little")
    if size > MAX_BYTES:
        raise InputError(f"{label} is larger than {MAX_BYTES // 2**30} GiB, so it is no LoRA")
    if size < 10 or length > min(size - 8, MAX_HEADER):
        told = f"its header would have {length} bytes" if size >= 10 else "it is too short"
        raise InputError(
            f"{label}: not a safetensors file, or cut off: {told}, the file has {size}"
        )
    try:
        table = json.loads(opened.read(length))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label}: not a safetensors file: its header is no JSON") from error
    if not isinstance(table, dict):
        raise InputError(f"{label}: not a safetensors file: its header is no table")
    notes = table.pop("__metadata__", None)
    _check_ends(table, size - 8 - length, label)
    entries: dict[str, Any] = {
        key: Entry(told["dtype"], tuple(told["shape"])) for key, told in table.items()
    }
    return {**entries, "__metadata__": notes}


def _check_ends(table: Mapping[str, Any], there: int, label: str) -> None:
    """Refuse tensors whose bytes are not theirs, and files that are shorter or longer than told."""
    end = 0
    for key, told in sorted(table.items(), key=lambda item: _offsets(item[1])):
        begin, stop = _offsets(told)
        if begin != end or stop - begin != _bytes(told):
            raise InputError(f"{label}: not a safetensors file: its header is wrong of {key[:80]}")
        end = stop
    if end != there:
        verb = "is cut off" if there < end else "has a wrong header"
        raise InputError(
            f"{label} {verb}: its header names {end} bytes of tensors, and {there} follow"
        )


def _offsets(told: Any) -> tuple[int, int]:
    offsets = told.get("data_offsets") if isinstance(told, dict) else None
    if isinstance(offsets, list) and len(offsets) == 2 and all(map(_is_size, offsets)):
        return offsets[0], offsets[1]
    return -1, -1


def _bytes(told: Any) -> int:
    """The bytes that dtype and shape take; -2 where one of them is none."""
    dtype, shape = told.get("dtype"), told.get("shape")
    sizes = isinstance(shape, list) and len(shape) <= 8 and all(map(_is_size, shape))
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES or not sizes:
        return -2
    return int(math.prod(shape)) * ITEM_BYTES[dtype]


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _notes(metadata: Any) -> dict[str, str]:
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return {key: text for key, text in pairs if isinstance(text, str)}


def _side_file(path: Path) -> dict[str, str]:
    """Where peft keeps alpha: beside the file, under one name."""
    beside = path.with_name(SIDE_FILE)
    try:
        if path.name.startswith("adapter_model") and beside.stat().st_size <= MAX_SIDE_FILE:
            return {SIDE_FILE: beside.read_text(encoding="utf-8")}
    except (OSError, ValueError):
        pass
    return {}
