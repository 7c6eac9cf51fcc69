"""Pictures: PNG, JPEG and WEBP files of every mode, with profiles, EXIF and recipes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image, ImageCms

from _fuzz._odd import damaged
from _fuzz._watch import LeftError
from refhooks._apps.recipes import metadata
from refhooks._apps.recipes.kept import kept_of
from refhooks._apps.recipes.picture_files import load_recipe, strip_recipe
from refhooks._base.picture_parts import PNG
from refhooks._base.pictures import load_alpha, load_mask, load_original, load_picture, load_whole
from refhooks.errors import RefhooksError
from refhooks.testing._tiny import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = (24, 16)
PNG_KINDS = (b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"iCCP", b"iTXt", b"zTXt", b"tEXt",
             b"eXIf", b"acTL",
             b"fcTL", b"fdAT", b"gAMA", b"cHRM", b"pHYs", b"rhEb", b"sRGB")  # fmt: skip


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def good() -> list[bytes]:
    """Return whole files of every kind that is read."""
    rgb = picture(0, SIZE)
    alpha = Image.radial_gradient("L").resize(SIZE)
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    deep = Image.fromarray(np.full(SIZE[::-1], 40_000, dtype=np.uint16))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [picture(number, SIZE) for number in range(3)]
    png = _saved(rgb, "PNG")
    text = '{"format": 2, "prompt": "x"}'
    return [
        png, _saved(rgba, "PNG"), _saved(rgb.convert("P"), "PNG", transparency=3),
        _saved(rgb.convert("L"), "PNG", transparency=7), _saved(alpha.convert("1"), "PNG"),
        _saved(rgba.convert("LA"), "PNG"), _saved(deep, "PNG"),
        _saved(rgb, "PNG", icc_profile=profile, exif=exif), _saved(rgb, "PNG", icc_profile=lab),
        _saved(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        metadata.into_png(png, text, {"ab" * 32: png}),
        _saved(rgb, "JPEG"), _saved(rgb.convert("L"), "JPEG"), _saved(rgb.convert("CMYK"), "JPEG"),
        _saved(rgb, "JPEG", progressive=True, exif=exif, icc_profile=profile),
        _saved(rgb, "JPEG", xmp=metadata.xmp(text)),
        _saved(rgb, "WEBP"), _saved(rgb, "WEBP", lossless=True), _saved(rgba, "WEBP"),
        _saved(rgb, "WEBP", xmp=metadata.xmp(text), exif=exif, icc_profile=profile),
        _saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
    ]  # fmt: skip


def with_sums(data: bytes) -> bytes:
    """Return a PNG file with its chunks' own checksums, so that more of it is read."""
    if not data.startswith(PNG):
        return data
    made, at = bytearray(data), len(PNG)
    while at + 12 <= len(made):
        size = int.from_bytes(made[at : at + 4], "big")
        if at + 12 + size > len(made):
            break
        made[at + 8 + size : at + 12 + size] = struct.pack(
            ">I", zlib.crc32(made[at + 4 : at + 8 + size])
        )
        at += 12 + size
    return bytes(made)


def chunks() -> Any:
    """A PNG file of random chunks whose checksums are right."""
    head = st.tuples(
        st.sampled_from((1, 8, 24, 65_535, 2**31 - 1)), st.sampled_from((1, 8, 16, 2**31)),
        st.sampled_from((1, 8, 16, 3)), st.sampled_from((0, 2, 3, 4, 6, 5)), st.just((0, 0, 0)),
    ).map(lambda it: struct.pack(">IIBB3B", it[0], it[1], it[2], it[3], *it[4]))  # fmt: skip
    content = st.binary(max_size=40) | st.binary(max_size=60).map(zlib.compress) | head
    chunk = st.tuples(st.sampled_from(PNG_KINDS), content).map(lambda it: metadata.png_chunk(*it))
    first = head.map(lambda data: metadata.png_chunk(b"IHDR", data))
    return st.tuples(first | chunk, st.lists(chunk, max_size=5)).map(
        lambda it: PNG + it[0] + b"".join(it[1])
    )


@st.composite
def _near_picture(draw: Any, whole: list[bytes]) -> bytes:
    return damaged(draw, draw(st.sampled_from(whole)))


class Pictures:
    """What is read as a picture, a mask, an alpha channel or a recipe, and stripped."""

    name = "pictures"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ways: dict[str, Callable[[Path], object]] = {
            "picture": load_picture, "whole": load_whole, "original": load_original,
            "mask": load_mask, "alpha": load_alpha, "recipe": load_recipe, "strip": self._stripped,
            "kept": lambda path: kept_of(path, SIZE),
        }  # fmt: skip
        ways = st.sampled_from(sorted(self.ways))
        heads = st.sampled_from((b"", PNG, b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBPVP8 ",
                                 b"RIFF\x40\0\0\0WEBPVP8X", b"RIFF\x40\0\0\0WEBPVP8L"))  # fmt: skip
        noise = st.tuples(heads, st.binary(max_size=120)).map(b"".join)
        self.good = [("whole", data) for data in good()]
        one = _near_picture(good())
        self.random = st.tuples(ways, noise | chunks())
        self.near = st.tuples(ways, one | one.map(with_sums))

    def run(self, case: tuple[str, bytes]) -> None:
        """Read the file in one way."""
        way, data = case
        place = self._folder / "case.png"
        place.write_bytes(data)
        try:
            self.ways[way](place)
        finally:
            place.unlink()

    def _stripped(self, place: Path) -> None:
        """The pixels of a file are those that it had, and there is no recipe any more."""
        before = _pixels(place)
        if not strip_recipe(place):
            return
        if _pixels(place) != before:
            raise LeftError("the pixels of a stripped file are others")
        if strip_recipe(place):
            raise LeftError("a stripped file can be stripped once more")


def _pixels(place: Path) -> bytes | None:
    try:
        return load_whole(place).tobytes()
    except RefhooksError:
        return None
