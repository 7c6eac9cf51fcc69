"""Programs that keep the text of a PNG write it in another kind of chunk: it is read from each."""

from __future__ import annotations

import json
import zlib

import pytest
import tiny
from PIL import Image, PngImagePlugin

import refhooks as rh
from refhooks._apps.recipes import metadata

KEY = b"refhooks\0"
DEFLATED = zlib.compress(b'{"format": 1}')
WRITERS = {
    "tEXt": lambda info, key, text: info.add_text(key, text),
    "zTXt": lambda info, key, text: info.add_text(key, text, zip=True),
    "iTXt": lambda info, key, text: info.add_itxt(key, text),
    "iTXt, deflated": lambda info, key, text: info.add_itxt(key, text, zip=True),
    "iTXt with a language": lambda info, key, text: info.add_itxt(key, text, "es", "receta", True),
}


def with_chunk(path, kind, data):
    """Write a PNG with one more chunk."""
    tiny.picture(0, (8, 8)).save(path)
    chunk = metadata.png_chunk(kind, data)
    path.write_bytes(metadata.with_chunks(path.read_bytes(), [chunk]))
    return path


@pytest.mark.parametrize("kind", WRITERS)
def test_a_recipe_is_read_from_every_kind_of_text_chunk(edit, editor, kind):
    """And stripped from it; the pixels stay."""
    result = edit(prompt="make it blue, señor, 日本")
    [path] = result.save("out.png")
    with Image.open(path) as opened:
        opened.load()
        info = PngImagePlugin.PngInfo()
        for key, text in opened.text.items():
            WRITERS[kind](info, key, str(text))
        opened.save("again.png", pnginfo=info)

    assert result.recipe == rh.load_recipe("again.png")
    assert result.images[0].tobytes() == editor.replay("again.png").image.tobytes()
    assert rh.strip_recipe("again.png")
    with pytest.raises(rh.InputError, match="carries no recipe"):
        rh.load_recipe("again.png")
    assert result.images[0].tobytes() == Image.open("again.png").tobytes()


BOMB = zlib.compress(b"[" * 2**28, 9)
BAD = {
    "a bomb in zTXt": (b"zTXt", KEY + b"\0" + BOMB, "larger than 1 MiB"),
    "a bomb in iTXt": (b"iTXt", KEY + b"\1\0\0\0" + BOMB, "larger than 1 MiB"),
    "another method": (b"zTXt", KEY + b"\7" + DEFLATED, "is not valid JSON|no recipe|empty"),
    "another method in iTXt": (b"iTXt", KEY + b"\1\7\0\0" + DEFLATED, "JSON|no recipe|empty"),
    "cut off": (b"zTXt", KEY + b"\0" + DEFLATED[:-6], "JSON|no recipe|empty"),
    "not deflated": (b"zTXt", KEY + b"\0" + b"{}", "JSON|no recipe|empty"),
    "nothing behind the keyword": (b"iTXt", KEY, "JSON|no recipe|empty"),
    "one language without an end": (b"iTXt", KEY + b"\0\0en", "JSON|no recipe|empty"),
    "a large chunk": (b"tEXt", KEY + b" " * (2**21 + 100), "larger than 1 MiB"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_hostile_chunk_is_one_error(folder, kind):
    """Never inflated beyond the cap."""
    chunk, data, words = BAD[kind]
    with pytest.raises(rh.InputError, match=words):
        rh.load_recipe(with_chunk(folder / "bad.png", chunk, data))


def test_only_so_many_chunks_are_gone_through(folder):
    """A file of nothing but headers would otherwise take seconds for every 10 MB of it."""
    path = with_chunk(folder / "bad.png", b"tEXt", KEY + b"{}")
    whole = path.read_bytes()
    empty = metadata.png_chunk(b"teSt", b"")
    path.write_bytes(whole[:33] + empty * 9 + whole[33:])
    with pytest.raises(rh.InputError, match="format"):
        rh.load_recipe(path)

    path.write_bytes(whole[:33] + empty * 2**18 + whole[33:])
    with pytest.raises(rh.InputError, match="carries no recipe"):
        rh.load_recipe(path)


def test_two_recipes_in_chunks_of_two_kinds_are_refused(edit, folder):
    """Nobody can say which one is meant."""
    [path] = edit().save("out.png")
    text = json.dumps({"format": 1}).encode()
    chunk = metadata.png_chunk(b"zTXt", KEY + b"\0" + zlib.compress(text))
    path.write_bytes(metadata.with_chunks(path.read_bytes(), [chunk]))

    with pytest.raises(rh.InputError, match="two recipes"):
        rh.load_recipe(path)


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_other_text_is_nobody_s_recipe(folder, kind):
    """A keyword that only begins like ours."""
    with pytest.raises(rh.InputError, match="carries no recipe"):
        rh.load_recipe(with_chunk(folder / "other.png", kind, b"refhooks-notes\0\0\0\0\0hello"))
