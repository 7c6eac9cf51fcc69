"""Texts of a picture's file, whoever wrote them."""

from __future__ import annotations

import zlib

import pytest
from PIL import Image

from refhooks import InputError
from refhooks._apps.recipes.metadata import png_chunk, with_chunks
from refhooks.pictures import load_texts


@pytest.fixture
def png(tmp_path):
    """Write a PNG with more chunks; returns its place."""

    def write(*chunks):
        place = tmp_path / "texts.png"
        Image.new("RGB", (4, 4)).save(place)
        place.write_bytes(with_chunks(place.read_bytes(), chunks))
        return place

    return write


def test_all_kinds_of_png_text(png):
    """In the file's order; UTF-8 where a program wrote that into an older kind."""
    place = png(
        png_chunk(b"tEXt", b"one\0caf\xe9"),
        png_chunk(b"tEXt", b"two\0caf\xc3\xa9"),
        png_chunk(b"zTXt", b"three\0\0" + zlib.compress(b"packed")),
        png_chunk(b"iTXt", b"four\0\0\0\0\0" + "日".encode()),
        png_chunk(b"iTXt", b"five\0\1\0\0\0" + zlib.compress(b"packed")),
        png_chunk(b"coMf", b"six\0mine"),
    )
    plain = [("one", "café"), ("two", "café"), ("three", "packed"), ("four", "日"),
             ("five", "packed")]  # fmt: skip

    assert load_texts(place) == tuple(plain)
    assert load_texts(place, chunks=("coMf",)) == (*plain, ("six", "mine"))


@pytest.mark.parametrize("ending", ["png", "webp", "jpg"])
def test_texts_of_exif(tmp_path, ending):
    """By the names of their tags; numbers are none."""
    picture = Image.new("RGB", (4, 4))
    exif = picture.getexif()
    exif[0x0110], exif[0x010F], exif[0x0112] = "a model", "a maker", 1
    place = tmp_path / f"exif.{ending}"
    picture.save(place, exif=exif)

    assert set(load_texts(place)) == {("Model", "a model"), ("Make", "a maker")}


def test_damage_gives_less_and_raises_nothing(png, tmp_path):
    """A text that does not inflate, EXIF of noise, a file cut off, one that is no picture."""
    assert load_texts(png(png_chunk(b"zTXt", b"a\0\0noise"))) == (("a", ""),)
    assert load_texts(png(png_chunk(b"tEXt", b"no zero byte"))) == ()
    assert load_texts(png(png_chunk(b"eXIf", b"MM\0\x2a" + b"\xff" * 40))) == ()
    place = png(png_chunk(b"tEXt", b"one\0word"))
    place.write_bytes(place.read_bytes()[:40])
    assert load_texts(place) == ()
    (tmp_path / "no.png").write_bytes(b"hello")
    assert load_texts(tmp_path / "no.png") == ()


def test_caps(png, tmp_path):
    """On a text, on what it inflates to, on how many there are; a folder is no file."""
    large = png(png_chunk(b"tEXt", b"a\0" + b"x" * (8 * 2**20)))
    with pytest.raises(InputError, match=r"texts.png cannot be read: a text inside of it is"):
        load_texts(large)
    with pytest.raises(InputError, match="larger than 8 MiB"):
        load_texts(png(png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * (9 * 2**20)))))
    with pytest.raises(InputError, match="there are more than 64 texts"):
        load_texts(png(*[png_chunk(b"tEXt", b"a\0b")] * 65))
    with pytest.raises(InputError, match="cannot be read"):
        load_texts(tmp_path)
