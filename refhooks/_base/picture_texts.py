"""What a picture's file says in texts beside its pixels, whoever wrote them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from PIL import ExifTags, Image

from refhooks._base.advice import libraries_silenced
from refhooks._base.damage import DAMAGED
from refhooks._base.files import as_path
from refhooks._base.picture_parts import TEXTS, Part, chunk_text, content_of, parts_of
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["load_texts"]

MAX_TEXT = 8 * 2**20  # bytes of one text, and of EXIF
MAX_TEXTS = 64
MAX_FILE = 256 * 2**20
_EXIF_HEAD = b"Exif\0\0"


def load_texts(path: str | Path, *, chunks: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """Return the texts of a picture's file as pairs of name and text, in the file's order.

    A PNG's text chunks (``tEXt``, ``zTXt``, ``iTXt``) by their keywords; the texts among the EXIF
    tags of a PNG, WEBP or JPEG by the tags' names, such as ``Model``. The file is walked: its
    pixels are not decoded.

    Args:
        path: Of the file.
        chunks: Private kinds of PNG chunk that hold a keyword, a zero byte and a text, such as
            ``comf``.

    Raises:
        InputError: It cannot be read, is larger than 256 MiB, has more than 64 texts, or one of
            more than 8 MiB.
    """
    place = as_path(path)
    private = tuple(name.encode("latin-1", "replace") for name in chunks)
    try:
        with place.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE:
                raise InputError(f"larger than {MAX_FILE // 2**20} MiB")
            texts: list[tuple[str, str]] = []
            for part in parts_of(file, file.read(12)):
                texts += _texts_of(file, part, private)
                if len(texts) > MAX_TEXTS:
                    raise InputError(f"there are more than {MAX_TEXTS} texts inside of it")
    except (OSError, ValueError) as error:
        raise InputError(f"{place} cannot be read: {error}") from error
    return tuple(texts)


def _texts_of(file: BinaryIO, part: Part, private: tuple[bytes, ...]) -> Iterator[tuple[str, str]]:
    if part.kind in (*TEXTS, *private):
        keyword, zero, rest = _capped(file, part).partition(b"\0")
        if zero:
            kind = b"tEXt" if part.kind in private else part.kind
            text = chunk_text(rest, kind, MAX_TEXT)
            yield keyword.decode("latin-1"), _decoded(text, utf8=kind == b"iTXt")
    elif part.kind in {b"EXIF", b"eXIf"}:
        yield from _exif(_capped(file, part))
    elif part.kind == b"\xff\xe1":
        data = _capped(file, part)
        if data.startswith(_EXIF_HEAD):
            yield from _exif(data)


def _capped(file: BinaryIO, part: Part) -> bytes:
    if part.size > MAX_TEXT:
        raise InputError(f"a text inside of it is larger than {MAX_TEXT // 2**20} MiB")
    return content_of(file, part)


def _decoded(text: bytes, *, utf8: bool) -> str:
    """Latin-1 is what PNG says of its older texts; many programs write UTF-8 all the same."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("utf-8" if utf8 else "latin-1", "replace")


def _exif(data: bytes) -> Iterator[tuple[str, str]]:
    """The texts of the first directory; of a damaged one nothing."""
    exif = Image.Exif()
    try:
        with libraries_silenced():  # Pillow warns of damage
            exif.load(data)
            found = [(tag, value) for tag, value in exif.items() if isinstance(value, str)]
    except DAMAGED:
        return
    for tag, value in found:
        yield ExifTags.TAGS.get(tag, f"{tag:#06x}"), value.rstrip("\0")
