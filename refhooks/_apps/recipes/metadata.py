"""Where a recipe lies in a picture's file: found, written and cut out byte by byte.

PNG: an uncompressed ``iTXt`` chunk, and one private chunk for each picture put inside; other
programs turn the first into a ``tEXt``, a ``zTXt`` or a compressed one, which are read as well.
JPEG: an ``APP1`` segment with XMP. WEBP: an ``XMP`` chunk. Files are walked, never decoded, so that
a stranger's file costs no more than reading it, and the pixels of a stripped file stay as they are.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO
from xml.sax.saxutils import escape

import attrs

from refhooks._base.picture_parts import PNG, RIFF, TEXTS, Part, chunk_text, content_of, parts_of
from refhooks._base.tables import MAX_BYTES
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEY = b"refhooks"
TEXT, EMBEDDED = b"iTXt", b"rhEb"  # ancillary, private, safe to copy
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"
MAX_XMP = 65_000  # of a JPEG segment's 65,533
MAX_WRITTEN = 2 * MAX_BYTES  # as XMP escapes it
MAX_PACKET = 8 * 2**20  # of XMP, what others say in it included
_TOO_LARGE = "it holds a recipe that is larger than 1 MiB"
MAX_EMBEDDED = 64 * 2**20
_HEAD = "<refhooks:recipe>"
_TAIL = "</refhooks:recipe>"
_ABOUT = (
    '<rdf:Description rdf:about="" xmlns:refhooks="https://refhooks.invalid/recipe/1/">'
    f"{_HEAD}%s{_TAIL}</rdf:Description>"
)
_PACKET = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    f' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{_ABOUT}</rdf:RDF></x:xmpmeta>'
    '<?xpacket end="r"?>'
)
_OURS = re.compile(re.escape(_ABOUT).replace(re.escape("%s"), "[^<]*").encode())
_END = b"</rdf:RDF>"


@attrs.frozen
class Carried:
    """What a file carries.

    Attributes:
        text: The recipe as JSON, not looked at; ``None``: there is none.
        embedded: Pictures by the hash that is written beside them.
    """

    text: bytes | None
    embedded: Mapping[str, bytes] = attrs.field(factory=dict)


def xmp(text: str, beside: bytes = b"") -> bytes:
    """Return the XMP packet that holds a text; all that another packet says stays beside it."""
    if _END not in beside:
        return (_PACKET % escape(text)).encode()
    before, after = beside.rsplit(_END, 1)
    return before + (_ABOUT % escape(text)).encode() + _END + after


def without_recipe(packet: bytes) -> bytes:
    """Return an XMP packet without a recipe of ours; nothing where there is nothing else in it."""
    rest = _OURS.sub(b"", packet)
    empty = rest == _PACKET.replace(_ABOUT, "").encode()
    return b"" if empty or _HEAD.encode() in rest else rest  # in another form: nothing stays


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
    return with_chunks(data, chunks)


def with_chunks(data: bytes, chunks: Sequence[bytes]) -> bytes:
    """Return a PNG file with more chunks, before all but the first of its own."""
    after = len(PNG) + 25  # IHDR comes first, and is of one size
    return data[:after] + b"".join(chunks) + data[after:]


def read(file: BinaryIO) -> Carried:
    """Return what a file carries; nothing where it is damaged before its recipe.

    Raises:
        InputError: What it carries is larger than a recipe, or pictures inside of one, may be.
    """
    head = file.read(12)
    parts = parts_of(file, head)
    text, embedded, size = None, {}, 0
    for part in parts:
        if not _is_ours(file, part):
            continue
        if part.kind == EMBEDDED:
            size += part.size
            if size > MAX_EMBEDDED:
                raise InputError("the pictures inside of it are larger than 64 MiB")
            data = content_of(file, part)
            embedded[data[:32].hex()] = data[32:]
            continue
        if part.size > (MAX_WRITTEN if part.kind in TEXTS else MAX_PACKET):
            raise InputError(_TOO_LARGE)
        if text is not None:
            raise InputError("it holds two recipes")
        text = _text(content_of(file, part), part.kind)
    return Carried(text, embedded)


def strip(data: bytes) -> bytes:
    """Return a file without what refhooks put into it; its pixels stay as they are."""
    file = io.BytesIO(data)
    ours = [part for part in parts_of(file, file.read(12)) if _is_ours(file, part)]
    pieces, start, emptied, less = [], 0, False, 0
    whole = 8 + int.from_bytes(data[4:8], "little")  # of a WEBP file; others' bytes may follow it
    for part in ours:
        rest = _rest(data[part.start : part.end], part)
        emptied |= not rest
        less += part.end - part.start - len(rest) if part.end <= whole else 0
        pieces += [data[start : part.start], rest]
        start = part.end
    clean = b"".join([*pieces, data[start:]])
    if not ours or clean[:4] != RIFF:
        return clean
    return _riff(clean, whole - less, without_xmp=emptied)


def _rest(whole: bytes, part: Part) -> bytes:
    """What stays of a chunk or segment of ours: XMP that somebody else has written as well."""
    if part.kind not in {b"XMP ", b"\xff\xe1"}:
        return b""
    content = whole[part.data - part.start :][: part.size]
    head = XMP_HEAD if part.kind == b"\xff\xe1" else b""
    packet = without_recipe(content.removeprefix(head))
    if not packet:
        return b""
    content = head + packet
    if head:
        return part.kind + struct.pack(">H", len(content) + 2) + content
    return part.kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _is_ours(file: BinaryIO, part: Part) -> bool:
    if part.kind == EMBEDDED:
        return part.size > 32
    file.seek(part.data)
    if part.kind in TEXTS:
        return file.read(len(KEY) + 1) == KEY + b"\0"
    if part.kind == b"\xff\xe1":
        return file.read(len(XMP_HEAD)) == XMP_HEAD and _HEAD.encode() in file.read(
            min(part.size, MAX_XMP)
        )
    return part.kind == b"XMP " and _HEAD.encode() in file.read(min(part.size, MAX_PACKET))


def _text(data: bytes, kind: bytes) -> bytes:
    if kind in TEXTS:
        try:
            return chunk_text(data[len(KEY) + 1 :], kind, MAX_WRITTEN)
        except InputError as error:
            raise InputError(_TOO_LARGE) from error
    inside = data.partition(_HEAD.encode())[2].partition(_TAIL.encode())[0]
    return inside.replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&amp;", b"&")


def _riff(data: bytes, size: int, *, without_xmp: bool) -> bytes:
    """The header says how long a file is, and the extended one which kinds of chunk there are."""
    changed = bytearray(data)
    changed[4:8] = struct.pack("<I", size - 8)
    if without_xmp and changed[12:16] == b"VP8X":
        changed[20] &= ~0x04
    return bytes(changed)
