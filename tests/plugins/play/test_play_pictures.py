"""Pictures of a page: taken in by their pixels, named safely, shown large enough, painted on."""

from __future__ import annotations

import pytest
import tiny
from PIL import Image, ImageDraw

import refhooks as rh
from refhooks_play._pictures import mask_of_layers, paintable, safe_name, shown, take_in


def test_what_is_no_picture_is_refused(tmp_path):
    """By its name, in one sentence; nothing of it stays."""
    bad = tmp_path / "evil.png"
    bad.write_bytes(b"<script>alert(1)</script>")
    session = tmp_path / "session"
    session.mkdir()

    with pytest.raises(rh.InputError, match=r"evil\.png"):
        take_in(bad, session)

    assert list(session.iterdir()) == []


def test_a_very_large_picture_is_refused_by_its_size(tmp_path):
    """From its head: none of its pixels is read."""
    large = tmp_path / "large.png"
    Image.new("1", (10000, 10000)).save(large)

    with pytest.raises(rh.InputError, match=r"megapixels, and the page takes at most 40") as error:
        take_in(large, tmp_path)

    assert any(size in str(error.value) for size in ("10000x10000, 100", "more than 89"))


def test_names_are_safe_and_no_file_replaces_another(tmp_path, files):
    """The same picture keeps its name; another of that name gets a number."""
    assert safe_name("../../etc/pass<wd>.png") == "pass-wd-.png"
    assert safe_name("...") == "picture"
    assert take_in(files / "photo.png", tmp_path) == "photo.png"
    assert take_in(files / "photo.png", tmp_path) == "photo.png"
    assert take_in(files / "coat.png", tmp_path, "photo.png") == "photo-2.png"
    assert take_in(files / "coat.png", tmp_path, "x.gif") == "x.png"


@pytest.mark.parametrize(
    "name", ["ä" * 300, "犬" * 300, "🐈" * 300, "a\ud800b", "-rf", "..", "CON"]
)
def test_any_name_is_one_that_a_file_can_have(files, tmp_path, name):
    """Long in whatever letters, or none at all."""
    called = take_in(files / "photo.png", tmp_path, f"{name}.png")

    assert (tmp_path / called).is_file()
    assert len(called.encode()) < 200
    assert not called.startswith(("-", "."))


def test_what_was_painted_is_the_mask():
    """The alpha of the layers, averaged down to a small picture."""
    layer = Image.new("RGBA", (320, 240))
    ImageDraw.Draw(layer).rectangle((80, 80, 239, 159), fill=(224, 0, 77, 255))
    other = Image.new("RGBA", (320, 240))
    ImageDraw.Draw(other).rectangle((0, 0, 9, 9), fill=(0, 0, 0, 255))

    mask = mask_of_layers([layer, other], (32, 24))

    assert mask.size == (32, 24)
    assert mask.getpixel((0, 0)) == 255
    assert mask.getpixel((10, 10)) == 255
    assert mask.getpixel((5, 20)) == 0
    for empty in ([], [Image.new("RGBA", (32, 24))]):
        with pytest.raises(rh.InputError, match="nothing is painted yet"):
            mask_of_layers(empty, (32, 24))


def test_pictures_are_shown_large_enough_and_painted_on_at_a_size_that_goes():
    """Small ones pixel by pixel, so that nothing is made up."""
    small = tiny.picture(1, (32, 24))

    assert shown(small).size == (512, 384)
    assert shown(small).resize((32, 24), Image.Resampling.NEAREST).tobytes() == small.tobytes()
    assert shown(Image.new("RGB", (600, 400))).size == (600, 400)
    assert max(paintable(Image.new("RGB", (4000, 3000))).size) == 1024
