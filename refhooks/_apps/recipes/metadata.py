"""Where a recipe lies in a picture's file: found, written and cut out byte by byte.

PNG: an uncompressed ``iTXt`` chunk, and one private chunk for each picture put inside. JPEG: an
``APP1`` segment with XMP. WEBP: an ``XMP`` chunk. Files are walked, never decoded, so that a
stranger's file costs no more than reading it, and the pixels of a stripped file stay as they are.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO
from xml.sax.saxutils import escape

import attrs

from refhooks._base.tables import MAX_BYTES
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEY = b"refhooks"
PNG, RIFF, SOI = b"\x89PNG\r\n\x1a\n", b"RIFF", b"\xff\xd8"
TEXT, EMBEDDED = b"iTXt", b"rhEb"  # ancillary, private, safe to copy
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"
MAX_XMP = 65_000  # of a JPEG segment's 65,533
MAX_PARTS = 2**20
MAX_EMBEDDED = 64 * 2**20
_HEAD = "<refhooks:recipe>"
_TAIL = "</refhooks:recipe>"
_PACKET = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    f' xmlns:refhooks="https://refhooks.invalid/recipe/1/">{_HEAD}%s{_TAIL}</rdf:Description>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


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


@attrs.frozen
class Carried:
    """What a file carries.

    Attributes:
        text: The recipe as JSON, not looked at; ``None``: there is none.
        embedded: Pictures by the hash that is written beside them.
    """

    text: bytes | None
    embedded: Mapping[str, bytes] = attrs.field(factory=dict)


def xmp(text: str) -> bytes:
    """Return the XMP packet that holds a text."""
    return (_PACKET % escape(text)).encode()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    head = struct.pack(">I", len(data)) + kind
    return head + data + struct.pack(">I", zlib.crc32(kind + data))


def into_png(data: bytes, text: str, embedded: Mapping[str, bytes]) -> bytes:
    """Return a PNG file with a recipe, and pictures by their hashes, put inside."""
    chunks = [png_chunk(TEXT, KEY + b"\0\0\0\0\0" + text.encode())]
    chunks += [
        png_chunk(EMBEDDED, bytes.fromhex(key) + picture_bytes)
        for key, picture_bytes in embedded.items()
    ]
    after = len(PNG) + 25  # IHDR comes first, and is of one size
    return data[:after] + b"".join(chunks) + data[after:]


def read(file: BinaryIO) -> Carried:
    """Return what a file carries; nothing where it is damaged before its recipe.

    Raises:
        InputError: What it carries is larger than a recipe, or pictures inside of one, may be.
    """
    head = file.read(12)
    parts = _parts(file, head)
    text, embedded, size = None, {}, 0
    for part in parts:
        if not _is_ours(file, part):
            continue
        if part.kind == EMBEDDED:
            size += part.size
            if size > MAX_EMBEDDED:
                raise InputError("the pictures inside of it are larger than 64 MiB")
            data = _content(file, part)
            embedded[data[:32].hex()] = data[32:]
            continue
        if part.size > 2 * MAX_BYTES:
            raise InputError("it holds a recipe that is larger than 1 MiB")
        if text is not None:
            raise InputError("it holds two recipes")
        text = _text(_content(file, part), part.kind)
    return Carried(text, embedded)


def strip(data: bytes) -> bytes:
    """Return a file without what refhooks put into it; its pixels stay as they are."""
    file = io.BytesIO(data)
    ours = [part for part in _parts(file, file.read(12)) if _is_ours(file, part)]
    starts = [0, *[part.end for part in ours]]
    ends = [*[part.start for part in ours], len(data)]
    data = b"".join(data[start:end] for start, end in zip(starts, ends, strict=True))
    if ours and data[:4] == RIFF:
        data = _without_xmp_flag(data)
    return data


def _parts(file: BinaryIO, head: bytes) -> Iterator[Part]:
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


def _is_ours(file: BinaryIO, part: Part) -> bool:
    if part.kind == EMBEDDED:
        return part.size > 32
    file.seek(part.data)
    if part.kind == TEXT:
        return file.read(len(KEY) + 1) == KEY + b"\0"
    if part.kind == b"\xff\xe1":
        return file.read(len(XMP_HEAD)) == XMP_HEAD and _HEAD.encode() in file.read(
            min(part.size, MAX_XMP)
        )
    return part.kind == b"XMP " and _HEAD.encode() in file.read(min(part.size, 4096))


def _content(file: BinaryIO, part: Part) -> bytes:
    file.seek(part.data)
    return file.read(part.size)


def _text(data: bytes, kind: bytes) -> bytes:
    if kind == TEXT:
        return data.split(b"\0", 5)[-1] if data.count(b"\0") >= 5 else b""
    inside = data.partition(_HEAD.encode())[2].partition(_TAIL.encode())[0]
    return inside.replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&amp;", b"&")


def _without_xmp_flag(data: bytes) -> bytes:
    """The extended header says which kinds of chunk there are."""
    changed = bytearray(data)
    changed[4:8] = struct.pack("<I", len(data) - 8)
    if changed[12:16] == b"VP8X":
        changed[20] &= ~0x04
    return bytes(changed)
