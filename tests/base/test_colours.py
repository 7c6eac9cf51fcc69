"""Colour profiles: read by LittleCMS, passed over where they cannot be used."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import profiles
import pytest
from PIL import Image, ImageCms

import refhooks as rh
from refhooks._base.once import keeping
from refhooks._base.pictures import load_mask, load_original, load_picture, load_whole

SRGBS = {
    "LittleCMS": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "parameters": profiles.rgb_profile(profiles.SRGB, curve=profiles.srgb_curve()),
}
GREY = profiles.grey_profile(1.8)
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
BROKEN = {
    "cut short": (profiles.DISPLAY_P3[:300], "it is cut short: 300 of 532 bytes"),
    "a few bytes": (profiles.DISPLAY_P3[:50], "it is no ICC profile"),
    "no profile": (b"\1\2\3\4" * 200, "it is no ICC profile"),
    "Lab": (LAB, "its colour space is 'Lab'"),
    "no tags": (profiles.profile({}), "LittleCMS cannot use it"),
    "damaged": (
        profiles.DISPLAY_P3[:200] + b"\xff" * 200 + profiles.DISPLAY_P3[400:],
        "LittleCMS cannot use it",
    ),
    "a link": (profiles.profile({}, kind=b"link"), "its class is 'link'"),
    "black": (profiles.rgb_profile([(0, 0, 0)] * 3), "it makes all colours alike"),
    "huge": (
        profiles.DISPLAY_P3 + bytes(5 * 2**20),
        "it has 5243412 bytes, and at most 4194304 are read",
    ),
    "grey": (GREY, "it is for grey pictures, and this one is RGB"),
    "CMYK": (
        profiles.table_profile(b"CMYK", 4, [(255 - 15 * k, 128, 128) for k in range(16)]),
        "it is for CMYK pictures, and this one is RGB",
    ),
}


def colours(mode="RGB", size=(24, 16)):
    """A picture of many colours, up to the edges of its space."""
    values = np.random.default_rng(7).integers(0, 256, (*size[::-1], 3)).astype(np.uint8)
    values[0, :3] = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    return Image.fromarray(values).convert(mode)


def given(picture, data, tmp_path, way):
    """A picture with a profile: in memory, or as a file of a format."""
    if way == "memory":
        picture = picture.copy()
        picture.info["icc_profile"] = data
        return picture
    path = tmp_path / f"photo.{way}"
    options = {"lossless": True} if way == "webp" else {}
    picture.save(path, icc_profile=data, **options)
    return path


def opened(source):
    """What Pillow alone shows of it."""
    return source if isinstance(source, Image.Image) else Image.open(source)


@pytest.mark.parametrize("way", ["memory", "png", "jpg", "webp"])
@pytest.mark.parametrize("name", profiles.WIDE)
def test_wide_pictures_are_brought_to_srgb(tmp_path, name, way):
    """As LittleCMS does by Pillow's own defaults, to the bit; and what is read has no profile."""
    source = given(colours(), profiles.WIDE[name], tmp_path, way)
    expected = profiles.converted(opened(source))

    for load in (load_picture, load_whole):
        seen = load(source)
        assert seen.tobytes() == expected.tobytes()
        assert load(seen).tobytes() == expected.tobytes()
    assert (np.asarray(expected) != np.asarray(opened(source))).any()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA"])
def test_every_mode_of_an_rgb_profile(mode):
    """How opaque it is stays; what is transparent is laid on the white of sRGB."""
    picture = colours(mode)
    if mode in {"RGBA", "LA"}:
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.info["icc_profile"] = profiles.DISPLAY_P3
    plain = picture.convert("RGB")
    plain.info["icc_profile"] = profiles.DISPLAY_P3
    expected = profiles.converted(plain)

    seen = load_whole(picture)

    assert seen.convert("RGB").tobytes() == expected.tobytes()
    if mode in {"RGBA", "LA"}:
        assert seen.getchannel("A").tobytes() == picture.getchannel("A").tobytes()
        clear = np.asarray(picture.getchannel("A")) == 0
        assert (np.asarray(load_picture(picture))[clear] == 255).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16"])
def test_grey_profiles(mode):
    """Of grey pictures in every mode."""
    ramp = Image.linear_gradient("L").resize((32, 32))
    picture = ramp.convert(mode if mode != "I;16" else "L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(ramp).astype(np.uint16) * 257)
    picture.info["icc_profile"] = GREY
    eight = ramp.convert("1").convert("L") if mode == "1" else ramp
    eight.info["icc_profile"] = GREY

    seen = load_picture(picture)

    apart = np.asarray(seen).astype(int) - np.asarray(profiles.converted(eight))
    assert np.abs(apart).max() <= (mode == "I;16")  # not by LittleCMS's table of 8 bits
    assert (seen.tobytes() != ramp.convert("RGB").tobytes()) or mode == "1"


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
def test_a_grey_picture_of_16_bits_keeps_its_dark_greys(gamma, mode):
    """As the profile's formula has it, to a level of 255; in 8 bits the first would be 13 apart."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    picture = Image.fromarray(values if mode == "I;16" else values.astype(np.int32))
    picture = picture.convert("F") if mode == "F" else picture
    picture.info["icc_profile"] = profiles.grey_profile(gamma)
    light = (values / 65535) ** (round(gamma * 256) / 256)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)

    seen = np.asarray(load_picture(picture)).astype(float)

    assert np.abs(seen - 255 * curve[..., None]).max() < 1
    assert (np.diff(np.unique(seen)) <= 2).all()


def test_a_grey_picture_of_16_bits_and_a_profile_of_colours():
    """It is passed over with a warning, and its numbers are taken as they are."""
    picture = Image.fromarray(np.full((8, 8), 32768, np.uint16))
    picture.info["icc_profile"] = profiles.DISPLAY_P3

    with pytest.warns(rh.RefhooksWarning, match="passed over"):
        assert load_picture(picture).getpixel((0, 0)) == (128, 128, 128)


def test_a_cmyk_picture_with_its_profile():
    """It is read by the profile, not by Pillow's guess."""
    nodes = [(255 if node == 0 else 60, 128, 128) for node in range(16)]
    picture = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    picture.info["icc_profile"] = profiles.table_profile(b"CMYK", 4, nodes)

    assert load_picture(picture).tobytes() == profiles.converted(picture).tobytes()
    assert load_picture(picture).getpixel((0, 0)) != picture.convert("RGB").getpixel((0, 0))


@pytest.mark.parametrize("way", ["memory", "png"])
@pytest.mark.parametrize("name", SRGBS)
def test_srgb_changes_nothing(tmp_path, name, way):
    """To the bit, and without a word."""
    picture = colours()

    assert load_picture(given(picture, SRGBS[name], tmp_path, way)).tobytes() == picture.tobytes()


@pytest.mark.parametrize("load", [load_picture, load_whole, load_original])
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_profile_is_passed_over(kind, load):
    """With one warning that names it, and the numbers as they stand."""
    picture = colours()
    picture.info["icc_profile"], reason = BROKEN[kind]

    with warnings.catch_warnings(record=True) as caught, keeping():
        warnings.simplefilter("always")
        seen = [load(picture), load(picture)]

    [warning] = caught
    assert warning.category is rh.RefhooksWarning
    assert f"is passed over: {reason}" in str(warning.message)
    assert [it.tobytes() for it in seen] == [picture.tobytes()] * 2


def png(chunk):
    """A PNG of one red pixel's size with such an ``iCCP`` chunk."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    data = file.getvalue()
    body = b"iCCP" + chunk
    entry = struct.pack(">I", len(chunk)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + entry + data[33:]


@pytest.mark.parametrize(
    "chunk",
    [
        b"P3\0\0" + zlib.compress(bytes(3 * 2**20)),
        b"P3\0\7" + zlib.compress(profiles.DISPLAY_P3),
        b"P3\0\0not compressed",
        b"P3\0\0" + zlib.compress(profiles.DISPLAY_P3)[:-40],
        b"P3\0",
        b"",
    ],
    ids=["bomb", "another method", "no zlib", "half of it", "no method", "empty"],
)
def test_a_chunk_that_pillow_refuses(tmp_path, chunk):
    """The picture is read all the same, by its numbers."""
    path = tmp_path / "photo.png"
    path.write_bytes(png(chunk))

    with pytest.warns(rh.RefhooksWarning, match=r"photo.png: its colour profile is passed over: "):
        assert load_picture(path).getpixel((3, 3)) == (255, 0, 0)


def test_originals_keep_their_colours(tmp_path):
    """With the profile, where sRGB could be brought back; a grey or a scanner's tells one way."""
    path = given(colours(), profiles.DISPLAY_P3, tmp_path, "png")

    own = load_original(path)

    assert own.tobytes() == colours().tobytes()
    assert own.info["icc_profile"] == profiles.DISPLAY_P3
    grey = colours("L")
    grey.info["icc_profile"] = GREY
    scan = colours()
    ends = [(85 * node.bit_count(), 128, 128) for node in range(8)]
    scan.info["icc_profile"] = profiles.table_profile(b"RGB ", 3, ends)
    for picture in (grey, scan):
        assert "icc_profile" not in load_original(picture).info
        assert load_original(picture).tobytes() == load_whole(picture).tobytes()


def test_a_mask_is_numbers(tmp_path):
    """Whatever profile it has, readable or not, without a word."""
    grey = colours("L")
    for data in (GREY, profiles.DISPLAY_P3, b"none"):
        path = given(grey, data, tmp_path, "png")
        assert load_mask(path).tobytes() == grey.convert("RGB").tobytes()


def test_a_pillow_without_littlecms(monkeypatch):
    """It is told, and the numbers are taken as they stand."""
    picture = colours()
    picture.info["icc_profile"] = profiles.rgb_profile(profiles.P3, 1.9)
    monkeypatch.setattr(ImageCms, "ImageCmsProfile", lambda *_: (_ for _ in ()).throw(ImportError))

    with pytest.warns(rh.RefhooksWarning, match="this Pillow is built without LittleCMS"):
        assert load_picture(picture).tobytes() == picture.tobytes()
