"""What a source says beside its pixels, for ``save(metadata="keep")``: text, EXIF and XMP.

What would be wrong of the new picture does not come along: the orientation (its pixels are upright
already), the size and the thumbnail of EXIF, and a recipe of ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.recipes import metadata
from refhooks._base.advice import warn_user
from refhooks._base.names import listed
from refhooks.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image as Pillow

MAX_SEGMENT = 65_000  # of a JPEG segment's 65,533
MAX_PACKET = 4 * 2**20
ORIENTATION, EXIF_IFD = 0x0112, 0x8769
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
_TURNED = re.compile(rb'(tiff:Orientation(?:="|>))[0-9]+')
_XMP_KEY = "XML:com.adobe.xmp"


@attrs.frozen
class Kept:
    """What goes from a source into the file of a picture.

    Attributes:
        texts: Keywords and texts, as PNG chunks hold them.
        comment: Of a JPEG.
        exif: As Pillow writes it.
        xmp: The packet.
    """

    texts: tuple[tuple[str, str], ...] = ()
    comment: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""

    def fitting(self, kind: str) -> Kept:
        """Return what a file of this format takes, and warn of the rest."""
        kept, left = self, []
        if self.texts and kind != "PNG":
            left.append(f"the text {listed([key for key, _ in self.texts])}"[:200])
            kept = attrs.evolve(kept, texts=())
        if self.comment and kind == "WEBP":
            left.append("the comment")
        for name in ("exif", "xmp", "comment"):
            if kind == "JPEG" and len(getattr(self, name)) > MAX_SEGMENT:
                left.append(f"{name.upper()} of more than 64 KiB")
                nothing: dict[str, Any] = {name: b""}
                kept = attrs.evolve(kept, **nothing)
        if left:
            _warn(f"the source's {' and its '.join(left)}: a {kind} file does not hold that")
        return kept

    def options(self, kind: str) -> dict[str, Any]:
        """Return what Pillow takes for it beside the XMP."""
        comment = self.comment if kind == "JPEG" else b""
        pairs = (("exif", self.exif), ("comment", comment))
        return {name: value for name, value in pairs if value}

    def chunks(self) -> list[bytes]:
        """Return the text chunks of a PNG."""
        texts = [*self.texts]
        if self.comment:
            texts.append(("Comment", self.comment.decode("utf-8", "replace")))
        chunks = [_text_chunk(key, text) for key, text in texts]
        if self.xmp:
            packet = f"{_XMP_KEY}\0\0\0\0\0".encode() + self.xmp
            chunks.append(metadata.png_chunk(b"iTXt", packet))
        return chunks


def kept_of(source: Path | Pillow.Image, size: tuple[int, int]) -> Kept:
    """Return what a source says beside its pixels.

    Args:
        source: Its file, or the picture as it was opened.
        size: Width and height of the new picture.

    Raises:
        InputError: The file cannot be read any more.
    """
    from PIL import Image  # noqa: PLC0415  importing refhooks needs no PIL

    from refhooks._base.damage import DAMAGED  # noqa: PLC0415  imports it, too
    from refhooks._base.pictures import FORMATS, load_whole  # noqa: PLC0415

    if isinstance(source, Image.Image):
        return _of(source, size)
    load_whole(source)  # with all the caps
    try:
        with Image.open(source, formats=FORMATS) as opened:
            opened.load()  # chunks may stand behind the pixels
            return _of(opened, size)
    except DAMAGED as error:
        raise InputError(f"the metadata of {source} cannot be read: {error}") from error


def _of(opened: Pillow.Image, size: tuple[int, int]) -> Kept:
    comment = opened.info.get("comment", b"")
    return Kept(
        texts=tuple(_texts(opened)),
        comment=comment if isinstance(comment, bytes) else b"",
        exif=_exif(opened, size),
        xmp=_xmp(opened),
    )


def _texts(opened: Pillow.Image) -> list[tuple[str, str]]:
    """Those of PNG chunks; what holds EXIF or XMP in a chunk of text is read as such."""
    ours = metadata.KEY.decode()
    return [
        (key, str(text))
        for key, text in opened.info.items()
        if isinstance(key, str)
        and isinstance(text, str)
        and key not in {ours, _XMP_KEY}
        and not key.startswith("Raw profile type ")
        and _is_keyword(key)
    ]


def _is_keyword(key: str) -> bool:
    return 0 < len(key) < 80 and all(" " <= it <= "~" or "\xa1" <= it <= "\xff" for it in key)


def _text_chunk(key: str, text: str) -> bytes:
    try:
        return metadata.png_chunk(b"tEXt", key.encode("latin-1") + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        data = key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
        return metadata.png_chunk(b"iTXt", data)


def _exif(opened: Pillow.Image, size: tuple[int, int]) -> bytes:
    from refhooks._base.damage import DAMAGED  # noqa: PLC0415  imports PIL

    try:
        exif = opened.getexif()
        exif.pop(ORIENTATION, None)
        if not exif:
            return b""
        exif[ORIENTATION] = 1
        for tags in (exif, exif.get_ifd(EXIF_IFD)):
            for names, value in ((_WIDTHS, size[0]), (_HEIGHTS, size[1])):
                tags.update({name: value for name in names if name in tags})
        return exif.tobytes()
    except DAMAGED as error:
        _warn(f"the source's EXIF is damaged, and is left out: {error!s:.200}")
        return b""


def _xmp(opened: Pillow.Image) -> bytes:
    packet = opened.info.get("xmp") or opened.info.get(_XMP_KEY) or b""
    data = packet.encode("utf-8", "replace") if isinstance(packet, str) else bytes(packet)
    if len(data) > MAX_PACKET:
        _warn("the source's XMP is larger than 4 MiB, and is left out")
        return b""
    return _TURNED.sub(rb"\g<1>1", metadata.without_recipe(data)) if data else b""


def _warn(message: str) -> None:
    warn_user(message)
