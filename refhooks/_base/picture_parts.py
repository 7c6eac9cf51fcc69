"""The parts of a picture's file: walked, never decoded, so that a stranger's file costs little."""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

import attrs

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PNG", "RIFF", "SOI", "TEXTS", "Part", "chunk_text", "content_of", "parts_of"]

PNG, RIFF, SOI = b"\x89PNG\r\n\x1a\n", b"RIFF", b"\xff\xd8"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
MAX_PARTS = 2**18  # a picture of 2 GiB in the chunks of 8 KiB that libpng writes has as many


@attrs.frozen
class Part:
    """A chunk or segment of a file.

    Attributes:
        kind: Its type.
        start: Where it begins.
        data: Where its content begins.
        size: Of the content.
        end: Where the next one begins.
    """

    kind: bytes
    start: int
    data: int
    size: int
    end: int


def parts_of(file: BinaryIO, head: bytes) -> Iterator[Part]:
    """Yield the parts of a PNG, WEBP or JPEG file, as far as it is whole; ``head``: 12 bytes."""
    if head.startswith(PNG):
        return _chunks(file, len(PNG), ">I", kind_first=False)
    if head.startswith(RIFF) and head[8:12] == b"WEBP":
        return _chunks(file, 12, "<I", kind_first=True)
    return _segments(file) if head.startswith(SOI) else iter(())


def _chunks(file: BinaryIO, start: int, order: str, *, kind_first: bool) -> Iterator[Part]:
    """PNG: size, type, content, checksum. RIFF: type, size, content, padded to even."""
    total = file.seek(0, os.SEEK_END)
    for _ in range(MAX_PARTS):
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return
        kind, number = (head[:4], head[4:]) if kind_first else (head[4:], head[:4])
        size: int = struct.unpack(order, number)[0]
        end = start + 8 + size + (size % 2 if kind_first else 4)
        if start + 8 + size > total:
            return
        yield Part(kind, start, start + 8, size, min(end, total))
        start = end


def _segments(file: BinaryIO) -> Iterator[Part]:
    """Those of a JPEG file before its first scan."""
    start = 2
    for _ in range(MAX_PARTS):
        file.seek(start)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in {0xDA, 0xD9}:
            return
        size: int = struct.unpack(">H", head[2:])[0]
        yield Part(head[:2], start, start + 4, max(size - 2, 0), start + 2 + size)
        start += 2 + size


def content_of(file: BinaryIO, part: Part) -> bytes:
    """Return the content of a part; the caller has looked at its size."""
    file.seek(part.data)
    return file.read(part.size)


def chunk_text(data: bytes, kind: bytes, most: int) -> bytes:
    """Return what a PNG text chunk says behind its keyword; nothing where it is damaged.

    ``tEXt``: Latin-1. ``zTXt``: a method, 0, and the same deflated. ``iTXt``: whether it is
    deflated, the method, a language, the keyword in it, and the text in UTF-8.

    Args:
        data: The chunk behind its keyword.
        kind: One of ``TEXTS``.
        most: Bytes that a deflated text may have.

    Raises:
        InputError: A deflated text has more.
    """
    if kind == b"tEXt":
        return data
    if kind == b"zTXt":
        return _inflated(data[1:], most) if data[:1] == b"\0" else b""
    if data.count(b"\0", 2) < 2 or data[1:2] != b"\0":
        return b""
    text = data[2:].split(b"\0", 2)[2]
    return _inflated(text, most) if data[:1] == b"\1" else text


def _inflated(data: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, most)
    except zlib.error:
        return b""
    if not inflater.eof:
        if inflater.unconsumed_tail:
            raise InputError(f"a text inside of it is larger than {most // 2**20} MiB")
        return b""  # cut off
    return text
