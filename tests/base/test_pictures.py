"""Pictures from files and hands that are not trusted."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import refhooks as rh
from refhooks._base import pictures
from refhooks._base.pictures import fit_picture, load_picture

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)
ORIENTATION = 0x0112


def encoded(picture, form, **options):
    """Return a picture as the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def png_header(width, height, colours=2, data=100):
    """Return a PNG that claims a size, and has as many bytes of pixels as it is told."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    pixels = zlib.compress(bytes(data))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PICTURE = tiny.picture(0, (24, 16))
BAD_FILES = {
    "zero bytes": (b"", "is empty"),
    "text": (b"not a picture at all", "is not a PNG, JPEG or WEBP picture"),
    "gif": (encoded(PICTURE, "GIF"), "is not a PNG, JPEG or WEBP picture"),
    "tiff": (encoded(PICTURE, "TIFF"), "is not a PNG, JPEG or WEBP picture"),
    "truncated png": (encoded(PICTURE, "PNG")[:-200], "cannot be read as a picture"),
    "truncated jpeg": (encoded(PICTURE, "JPEG")[:-200], "cannot be read as a picture"),
    "truncated webp": (encoded(PICTURE, "WEBP")[:-200], "cannot be read as a picture"),
    "head only": (encoded(PICTURE, "PNG")[:20], "cannot be read as a picture"),
    "many pixels": (png_header(12_000, 12_000), "12000x12000 pixels; at most 128000000"),
    "bomb": (png_header(60_000, 60_000), "60000x60000 pixels; at most 128000000"),
    "largest": (png_header(2**31 - 1, 2**31 - 1), "pixels; at most 128000000"),
    "no palette": (png_header(24, 16, 3, 25 * 16), "cannot be read as a picture: a part of it is"),
    "no width": (png_header(0, 16), "is not a PNG, JPEG or WEBP picture"),
    "one column": (encoded(Image.new("RGB", (1, 4000)), "PNG"),
                   "1x4000; a side may be 64 times the other"),
    "one row": (encoded(Image.new("L", (4000, 1)), "PNG"), "4000x1; a side may be 64 times"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_picture_is_refused(edit, never_called, tmp_path, kind):
    """The message names the file and what is wrong with it; nothing is decoded at a huge size."""
    data, words = BAD_FILES[kind]
    path = tmp_path / "photo.png"
    path.write_bytes(data)

    with pytest.raises(rh.InputError) as caught, never_called():
        edit(path)

    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


@pytest.mark.parametrize("place", ["source", "reference"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.png", "there is no picture "),
        ("", "is a directory, not a picture"),
        ("null\0byte.png", "there is no picture "),
        ("x" * 5000, "cannot be read as a picture: "),
    ],
)
def test_a_path_without_a_picture_is_refused(edit, never_called, tmp_path, name, words, place):
    """As the source and as another reference, given as a string and as a path."""
    arguments = {
        "source": {"image": f"{tmp_path}/{name}"},
        "reference": {"references": [tmp_path / name]},
    }[place]

    with pytest.raises(rh.InputError) as caught, never_called():
        edit(**arguments)

    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_file_beyond_the_cap_is_not_opened(tmp_path, monkeypatch):
    """The cap on bytes comes before any decoder."""
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(PICTURE, "PNG"))
    monkeypatch.setattr(pictures, "MAX_BYTES", 100)

    with pytest.raises(rh.InputError, match="bytes; at most 100 are read"):
        load_picture(path)


def test_a_damaged_file_is_never_another_error(tmp_path):
    """Every truncation, and many changed bytes, either load or are refused by name."""
    path, random = tmp_path / "photo", np.random.default_rng(0)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    outcomes = set()
    for form in ("PNG", "JPEG", "WEBP"):
        data = encoded(tiny.picture(0, (8, 8)), form, exif=exif)
        places = random.integers(0, len(data), 100)
        truncated = [data[:end] for end in range(0, len(data), 7)]
        changed = [data[:place] + random.bytes(1) + data[place + 1 :] for place in places]
        for content in truncated + changed:
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    outcomes.add(load_picture(path).mode)
                except rh.InputError:
                    outcomes.add("refused")

    assert {"RGB", "refused"} == outcomes


def test_a_damaged_picture_in_hand_is_refused(edit, never_called):
    """Pillow reads a file's pixels late: also after it was opened without complaint."""
    late = Image.open(io.BytesIO(encoded(PICTURE, "JPEG")[:-200]))
    closed = Image.open(io.BytesIO(encoded(PICTURE, "PNG")))
    closed.close()

    for picture in (late, closed):
        with pytest.raises(rh.InputError, match="the picture cannot be read"), never_called():
            edit(picture)


BROKEN = {
    "OSError": OSError("unrecognized data stream"), "SyntaxError": SyntaxError("broken PNG file"),
    "ValueError": ValueError("not enough data"), "AssertionError": AssertionError(),
    "IndexError": IndexError("index out of range"), "KeyError": KeyError(0x0112),
    "TypeError": TypeError("an integer is required"), "AttributeError": AttributeError("fp"),
    "ZeroDivisionError": ZeroDivisionError("division by zero"), "EOFError": EOFError(),
    "OverflowError": OverflowError("too large to convert"),
    "NotImplementedError": NotImplementedError(), "struct.error": struct.error("unpack requires"),
    "zlib.error": zlib.error("Error -3"), "bomb": Image.DecompressionBombError("exceeds limit"),
}  # fmt: skip


@pytest.mark.parametrize("error", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("where", ["opening", "decoding"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_whatever_pillow_raises_the_picture_is_damaged(tmp_path, monkeypatch, error, where, form):
    """One sentence with its name, for each way of reading one."""
    place = tmp_path / f"a.{form.lower()}"
    tiny.picture(1, (16, 16)).save(place, form)

    def fail(*_given):
        raise error

    _, accepts = Image.OPEN[form]
    with Image.open(place) as opened:
        reader = type(opened)
    if where == "opening":
        monkeypatch.setitem(Image.OPEN, form, (fail, accepts))
    else:
        monkeypatch.setattr(reader, "load", fail)

    for load in (load_picture, pictures.load_mask, pictures.load_original, pictures.load_whole):
        with pytest.raises(
            rh.InputError, match=r"a\.\w+ (cannot be read as|is not a) .*picture"
        ) as told:
            load(place)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (64, 1)])
def test_the_smallest_pictures_work(edit, size):
    """As the source and as a reference."""
    result = edit(Image.new("RGB", size, RED), references=[Image.new("RGB", size)], steps=2)

    assert len(result.images) == 1


def loaded(tmp_path, picture, form="PNG", **options):
    """Return a picture after a way through a file, as an array."""
    path = tmp_path / f"picture.{form.lower()}"
    path.write_bytes(encoded(picture, form, **options))
    return np.asarray(load_picture(path)).tolist()


def test_transparency_is_laid_on_white(tmp_path):
    """In every way that PNG and WEBP can say it, and in a picture in hand."""
    half = Image.new("RGBA", (2, 1), (*RED, 255))
    half.putpixel((1, 0), (*RED, 0))
    keyed = Image.new("RGB", (2, 1), RED)
    keyed.putpixel((1, 0), (9, 8, 7))
    palette = keyed.quantize(2)
    number = palette.getpixel((1, 0))
    grey = Image.new("LA", (2, 1), (0, 255))
    grey.putpixel((1, 0), (0, 0))
    grey_keyed = Image.new("L", (2, 1), 0)
    grey_keyed.putpixel((1, 0), 7)

    assert as_tuples(loaded(tmp_path, half)) == [[RED, WHITE]]
    assert as_tuples(loaded(tmp_path, half, "WEBP", lossless=True)) == [[RED, WHITE]]
    assert as_tuples(loaded(tmp_path, palette, transparency=number)) == [[RED, WHITE]]
    assert as_tuples(loaded(tmp_path, keyed, transparency=(9, 8, 7))) == [[RED, WHITE]]
    assert as_tuples(loaded(tmp_path, grey)) == [[BLACK, WHITE]]
    assert as_tuples(loaded(tmp_path, grey_keyed, transparency=7)) == [[BLACK, WHITE]]
    assert as_tuples(np.asarray(load_picture(half)).tolist()) == [[RED, WHITE]]
    assert as_tuples(np.asarray(load_picture(half.convert("RGBa"))).tolist()) == [[RED, WHITE]]


def as_tuples(rows):
    """Return rows of pixels with each pixel a tuple."""
    return [[tuple(pixel) for pixel in row] for row in rows]


def test_half_transparency_is_mixed_with_white(tmp_path):
    """Half of black over white is grey."""
    assert loaded(tmp_path, Image.new("LA", (1, 1), (0, 128))) == [[[127] * 3]]


def test_sixteen_bits_keep_their_range(tmp_path):
    """0–65535 becomes 0–255; Pillow's own conversion would clip nearly all of it to white."""
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)

    assert loaded(tmp_path, Image.fromarray(values)) == [[[0] * 3, [1] * 3, [128] * 3, [255] * 3]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "PA"])
def test_every_mode_becomes_rgb(mode):
    """In pictures in hand, which may have modes that no file has."""
    assert load_picture(Image.new(mode, (3, 2))).mode == "RGB"


def test_a_cmyk_jpeg_has_the_colours_it_shows(tmp_path):
    """Cyan ink alone is cyan light."""
    pixel = loaded(tmp_path, Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=100)[0][0]

    assert np.allclose((0, 255, 255), pixel, atol=3)


def test_a_palette_picture_has_its_colours(tmp_path):
    """Without transparency a palette is exact."""
    two = Image.new("RGB", (2, 1), RED)
    two.putpixel((1, 0), (1, 2, 3))

    assert [[list(RED), [1, 2, 3]]] == loaded(tmp_path, two.quantize(2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_an_exif_orientation_is_applied(tmp_path, orientation, form):
    """All eight, as a viewer shows them."""
    stored = np.zeros((16, 24, 3), dtype=np.uint8)
    stored[:8, :8] = 255  # a white corner, top left
    exif = Image.Exif()
    exif[ORIENTATION] = orientation

    shown = np.asarray(loaded(tmp_path, Image.fromarray(stored), form, exif=exif))

    corners = {
        (row, column)
        for row in (0, 1) for column in (0, 1) if shown[-row, -column].mean() > 128
    }  # fmt: skip
    expected = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0),
                5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[orientation]  # fmt: skip
    assert {expected} == corners
    assert ((16, 24, 3) if orientation < 5 else (24, 16, 3)) == shown.shape


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_what_is_turned_is_not_turned_again(tmp_path, mode):
    """A picture that was read may be given on, as the source of a chain is."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    tiny.picture(0, (12, 8)).convert(mode).save(tmp_path / "turned.png", exif=exif)

    once = load_picture(tmp_path / "turned.png")

    assert once.size == (8, 12)
    assert np.array_equal(np.asarray(load_picture(once)), np.asarray(once))


def test_damaged_exif_says_nothing_about_the_pixels(tmp_path):
    """The picture is used as it is stored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        rows = loaded(tmp_path, PICTURE, "JPEG", exif=b"Exif\x00\x00MM\x00garbage", quality=100)

    assert (len(rows), len(rows[0])) == (16, 24)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "MPO"])
def test_a_file_of_several_pictures_warns_and_gives_the_first(tmp_path, form):
    """Animations, and the pictures that cameras put together in one JPEG."""
    path = tmp_path / "photo.jpg"
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, WHITE)]
    options = {} if form == "MPO" else {"lossless": True}
    path.write_bytes(encoded(frames[0], form, save_all=True, append_images=frames[1:], **options))

    with pytest.warns(rh.RefhooksWarning, match="several pictures; only the first is used"):
        picture = load_picture(path)

    assert np.allclose(RED, picture.getpixel((0, 0)), atol=3)


def test_a_picture_in_hand_is_not_changed():
    """Neither its pixels nor its metadata."""
    given = Image.new("RGBA", (4, 2), (*RED, 100))
    exif = given.getexif()
    exif[ORIENTATION] = 6
    before = (given.mode, given.size, given.tobytes(), dict(given.getexif()))

    shown = load_picture(given)

    assert (shown.mode, shown.size) == ("RGB", (2, 4))
    assert before == (given.mode, given.size, given.tobytes(), dict(given.getexif()))


@pytest.mark.parametrize(("fit", "edge"), [("cover", BLACK), ("contain", RED), ("stretch", RED)])
def test_each_fit_gives_the_size(fit, edge):
    """Cover crops what hangs over, contain repeats the edges, stretch changes the shape."""
    wide = Image.new("RGB", (60, 20), BLACK)
    wide.paste(RED, (0, 0, 15, 20))

    fitted = fit_picture(wide, rh.Size(height=20, width=20), fit)

    assert fitted.size == (20, 20)
    assert edge == fitted.getpixel((0, 10))
    assert edge == fitted.getpixel((0, 0))


def test_pixels_beyond_white_and_black_are_cut_off():
    """A plugin may sharpen over the edge; nothing wraps around."""
    [picture] = pictures.as_pil(torch.tensor([-0.1, 0.5, 1.1]).reshape(1, 3, 1, 1))

    assert picture.getpixel((0, 0)) == (0, 128, 255)
