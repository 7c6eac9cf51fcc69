"""The header of a GGUF file, of which nothing is believed.

The package ``gguf`` reads one as well, but believes its counts: one that says that a list has 2^60
entries keeps it reading. Its table of types is taken. Numbers are little-endian: magic, version,
the count of tensors and of keys; keys with their values; for each tensor its name, axes (the last
one first), type and place; then, aligned, the data.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from refhooks._base.weight_files.entries import MAX_TENSORS, Entry
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["MAGIC", "gguf_types", "read_gguf_header"]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_KEYS, MAX_LIST, MAX_TEXT, MAX_AXES = 4096, 2**20, 2**20, 4
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?",
            10: "Q", 11: "q", 12: "d"}  # fmt: skip
_TEXT, _LIST = 8, 9
_ALIGNMENT = "general.alignment"


def gguf_types() -> Mapping[int, tuple[str, int, int]]:
    """Return by a type's number its name, values of a block, and bytes of a block.

    Raises:
        ModuleNotFoundError: The package gguf is not installed.
    """
    import gguf  # noqa: PLC0415  an extra

    return {
        int(kind): (kind.name, *sizes)
        for kind, sizes in gguf.GGML_QUANT_SIZES.items()
    }  # fmt: skip


class _Cursor:
    """Reads forward, never beyond the end."""

    def __init__(self, file: BinaryIO, size: int, path: Path) -> None:
        self._file, self._left, self._path = file, size, path
        self.place = 0

    def take(self, count: int) -> bytes:
        self._advance(count)
        return self._file.read(count)

    def skip(self, count: int) -> None:
        self._advance(count)
        self._file.seek(self.place)

    def _advance(self, count: int) -> None:
        if count > self._left:
            raise ModelError(
                f"{self._path}: cut off, or not a GGUF file: its header goes on after its last byte"
            )
        self._left -= count
        self.place += count

    def number(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]

    def text(self) -> str:
        count = self.number("Q")
        if count > MAX_TEXT:
            raise ModelError(f"{self._path}: damaged: a text of its header has {count} bytes")
        return self.take(count).decode("utf-8", "replace")


def read_gguf_header(
    file: BinaryIO, size: int, path: Path
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the tensors of a file of ``size`` bytes, and the texts and numbers of its header.

    Raises:
        ModelError: It is damaged, of another version, or holds types that are not known.
        ModuleNotFoundError: The package gguf is not installed.
    """
    types = gguf_types()
    cursor = _Cursor(file, size, path)
    cursor.skip(len(MAGIC))
    version, tensors, keys = (cursor.number(form) for form in "IQQ")
    if version not in VERSIONS:
        raise ModelError(f"{path}: GGUF of version {version}; versions 2 and 3 are read")
    if not 0 < tensors <= MAX_TENSORS or keys > MAX_KEYS:
        raise ModelError(
            f"{path}: damaged: its header says {tensors} tensors and {keys} keys; expected 1 to"
            f" {MAX_TENSORS}, and up to {MAX_KEYS}"
        )
    texts = dict(_pair(cursor, path) for _ in range(keys))
    told = [_told(cursor, path) for _ in range(tensors)]
    alignment = _alignment(texts, path)
    start = -(-cursor.place // alignment) * alignment
    return {it[0]: _entry(*it, start, size, path, types) for it in told}, texts


def _pair(cursor: _Cursor, path: Path) -> tuple[str, str]:
    key, kind = cursor.text(), cursor.number("I")
    if kind == _TEXT:
        return key, cursor.text()
    if kind == _LIST:
        inner, count = cursor.number("I"), cursor.number("Q")
        if count > MAX_LIST or inner not in {*_NUMBERS, _TEXT}:
            raise ModelError(
                f"{path}: damaged: the list {key!r:.80} of its header has {count} values of type"
                f" {inner}"
            )
        if inner != _TEXT:
            cursor.skip(count * struct.calcsize(f"<{_NUMBERS[inner]}"))
        for _ in range(count if inner == _TEXT else 0):
            cursor.text()
        return key, ""
    if kind not in _NUMBERS:
        raise ModelError(f"{path}: damaged: {key!r:.80} of its header has the type {kind}")
    return key, str(cursor.number(_NUMBERS[kind]))


def _told(cursor: _Cursor, path: Path) -> tuple[str, tuple[int, ...], int, int]:
    name, axes = cursor.text(), cursor.number("I")
    if axes > MAX_AXES:
        raise ModelError(f"{path}: damaged: {name!r:.120} has {axes} axes")
    shape = tuple(cursor.number("Q") for _ in range(axes))
    return name, shape[::-1], cursor.number("I"), cursor.number("Q")


def _alignment(texts: Mapping[str, str], path: Path) -> int:
    told = texts.get(_ALIGNMENT, "32")
    if not told.isdecimal() or not 1 <= int(told) <= 2**20:
        raise ModelError(f"{path}: damaged: its data is aligned to {told:.20} bytes")
    return int(told)


def _entry(
    name: str,
    shape: tuple[int, ...],
    number: int,
    offset: int,
    start: int,
    size: int,
    path: Path,
    types: Mapping[int, tuple[str, int, int]],
) -> Entry:
    if number not in types:
        raise ModelError(f"{path}: {name!r:.120} has the type {number}, which gguf does not know")
    kind, block, block_bytes = types[number]
    if shape and shape[-1] % block:
        raise ModelError(
            f"{path}: damaged: rows of {name!r:.120} have {shape[-1]} values, and {kind} has blocks"
            f" of {block}"
        )
    taken = math.prod(shape) // block * block_bytes
    if start + offset + taken > size:
        raise ModelError(
            f"{path}: cut off: it has {size} bytes, and {name!r:.120} would end at"
            f" {start + offset + taken}; download it again"
        )
    return Entry(name, kind, shape, start + offset, taken)
