"""Bad pictures, outputs and options: refused in one line, before any model is loaded."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from refhooks._base import pictures


def refused(result, *parts):
    """Check that a command ended with 2 and one line on stderr that says all of this."""
    assert result.exit_code == 2, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line
    assert result.stdout == ""


def truncated(place):
    """A picture of which the end is missing."""
    tiny.picture(1, (64, 64)).save(place)
    place.write_bytes(place.read_bytes()[:500])


def claims(side):
    """Make a small file that says it holds ``side`` by ``side`` pixels."""

    def make(place):
        Image.new("1", (8, 8)).save(place)
        data = bytearray(place.read_bytes())
        data[16:24] = side.to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
        place.write_bytes(data)

    return make


BAD = {
    "missing": (lambda _: None, "there is no picture bad.png"),
    "directory": (Path.mkdir, "bad.png is a directory"),
    "empty": (Path.touch, "bad.png is empty"),
    "text": (lambda place: place.write_text("hello"), "is not a PNG, JPEG or WEBP picture"),
    "truncated": (truncated, "bad.png cannot be read"),
    "bomb": (claims(30_000), "30000x30000 pixels; at most 128000000"),
    "large": (claims(12_000), "12000x12000 pixels; at most"),
    "thin": (lambda place: Image.new("RGB", (1, 4000)).save(place), "bad.png is 1x4000"),
    "gif": (lambda place: Image.new("L", (8, 8)).save(place, format="GIF"), "is not a PNG"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.usefixtures("unloadable")
def test_a_bad_picture_is_refused(edit, folder, kind, reference):
    """As source and as reference, with its name and what is wrong with it."""
    make, message = BAD[kind]
    make(folder / "bad.png")
    result = edit("--ref", "bad.png:inject:0.5") if reference else edit(image="bad.png")
    refused(result, message)
    assert not Path("out.png").exists()


@pytest.mark.usefixtures("unloadable")
def test_a_file_beyond_the_cap_is_not_read(edit, monkeypatch):
    """The cap is on bytes, too."""
    monkeypatch.setattr(pictures, "MAX_BYTES", 100)
    refused(edit(), "photo.png has ", " bytes; at most 100")


def sixteen_bit(place):
    """A scan."""
    Image.fromarray(np.full((24, 32), 40_000, dtype=np.uint16)).save(place)


def rotated(place):
    """A photograph taken with the camera on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    tiny.picture(1, (32, 64)).save(place, format="JPEG", exif=exif)


def animated(place):
    """Two frames."""
    frames = [tiny.picture(seed, (32, 24)) for seed in range(2)]
    frames[0].save(place, format="WEBP", save_all=True, append_images=frames[1:], lossless=True)


ODD = {
    "1x1": lambda place: Image.new("RGB", (1, 1)).save(place),
    "cmyk": lambda place: Image.new("CMYK", (32, 24)).save(place, format="JPEG"),
    "16-bit": sixteen_bit,
    "palette": lambda place: tiny.picture(1, (32, 24)).convert("P").save(place),
    "alpha": lambda place: Image.new("RGBA", (32, 24), (9, 9, 9, 0)).save(place),
    "rotated": rotated,
    "animated": animated,
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_picture_is_edited(edit, folder, kind):
    """A photograph is not an error for what a camera or a program made of its file."""
    ODD[kind](folder / "odd.png")
    result = edit("--model", "toy", image="odd.png")
    assert result.exit_code == 0, result.stderr
    assert ("warning: " in result.stderr) == (kind == "animated")


def test_a_rotated_photograph_gives_an_upright_picture(edit, folder):
    """EXIF says how the camera was held: 32x64 on its side is 64x32."""
    rotated(folder / "odd.jpg")
    edit("--resolution", 2048, image="odd.jpg")
    with Image.open("out.png") as picture:
        assert picture.size == (64, 32)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.gif", "the ending must be one of .png, .jpg, .jpeg, .webp"),
        ("out", "the ending must be one of"),
        ("", "the ending must be one of"),
        ("nowhere/out.png", "there is no folder nowhere"),
        ("photo.png/out.png", "there is no folder photo.png"),
        ("folder.png", "folder.png is a directory"),
        ("a" * 300 + ".png", "File name too long"),
        ("photo.png", "photo.png is one of the pictures to read"),
        ("./photo.png", "photo.png is one of the pictures to read"),
    ],
)
@pytest.mark.usefixtures("unloadable")
def test_a_bad_output_is_refused(edit, folder, output, message):
    """Nobody waits minutes for a picture that cannot be written."""
    (folder / "folder.png").mkdir()
    refused(edit(output=output), message)


@pytest.mark.parametrize(
    ("arguments", "made"),
    [(["-n", "2"], "out-2.png"), (["--preview-every", "1"], "out.preview.png")],
)
@pytest.mark.usefixtures("unloadable")
def test_every_file_that_will_be_written_is_checked(edit, folder, arguments, made):
    """Not only the one that is named."""
    (folder / made).mkdir()
    refused(edit(*arguments), f"{made} is a directory")


@pytest.mark.usefixtures("unloadable")
def test_a_preview_does_not_write_over_the_source(edit):
    """``out.preview.png`` may be the very picture that is edited."""
    tiny.picture(1, (32, 24)).save("out.preview.png")
    before = Path("out.preview.png").read_bytes()
    result = edit("--preview-every", 1, image="out.preview.png")
    refused(result, "out.preview.png is one of the pictures to read")
    assert Path("out.preview.png").read_bytes() == before


@pytest.mark.usefixtures("unloadable")
def test_a_read_only_folder_is_refused(edit, folder):
    """By its permissions."""
    (folder / "locked").mkdir()
    (folder / "locked").chmod(0o555)
    if os.access("locked", os.W_OK):
        pytest.skip("the superuser may write everywhere")
    refused(edit(output="locked/out.png"), "cannot be written")


@pytest.mark.usefixtures("unloadable")
def test_a_read_only_disk_is_refused(edit, monkeypatch):
    """Which permissions do not tell: the folder is written to before the model loads."""

    def fail(*_arguments, **_options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", fail)
    refused(edit(), "out.png cannot be written: Read-only file system")


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--strength", "2.1"], ["--strength", "from 0 to 2, got 2.1"]),
        (["--strength", "-0.1"], ["from 0 to 2, got -0.1"]),
        (["--strength", "nan"], ["from 0 to 2, got nan"]),
        (["--method", "inejct"], ["no method 'inejct'. Did you mean 'inject'?"]),
        (["--cfg", "nan"], ["cfg must be a number from 0 to 100"]),
        (["--ref", "photo.png:inejct:1"], ["--ref photo.png:inejct:1", "Did you mean 'inject'?"]),
        (["--ref", "photo.png:inejct"], ["Did you mean 'inject'?"]),
        (["--ref", "photo.png:"], ["there is no method ''"]),
        (["--ref", "photo.png:inejct:0.4:1"], ["Did you mean 'inject'?"]),
        (["--ref", "photo.png:inject:much"], ["--ref photo.png:inject:much: ", "is neither"]),
        (["--ref", "photo.png:inject:0.4:1:sin"], ["'0.4:1:sin' is neither", "START:END:cosine"]),
        (["--ref", "photo.png:inject:0.4:3"], ["'linear': end must be", "from 0 to 2, got 3"]),
        (["--ref", "photo.png:inject:0@0.4,0@1"], ["'keyframes': frames[1]: progress must be"]),
        (["--ref", "photo.png:inject:"], ["from 0 to 2, got "]),
        (["--ref", "photo.png:inject:3"], ["--ref photo.png:inject:3: ", "from 0 to 2, got 3"]),
        (["--ref", "photo.png:inject:inf"], ["from 0 to 2, got inf"]),
        (["--ref", "photo.png:0.5"], ["name a method before", "photo.png:default:0.5"]),
        (["--ref", "photo.png:0.4:1.0"], ["name a method before", "photo.png:default:0.4:1.0"]),
        (["--ref", "coat.png:inject:1"], ["there is no picture coat.png"]),
        (["--ref", "coat.png:inject:0.4:1"], ["there is no picture coat.png"]),
        (["--ref", "coat.png:inject:much"], ["there is no picture coat.png:inject:much"]),
        (["--offload", "model", "--device", "cpu"], ["--offload model", "--device says cpu"]),
        (["--quantize", "int8"], ["--quantize is for models loaded from files"]),
        (["--lora", "no.safetensors"], ["--lora no.safetensors: there is no such file"]),
        (["--lora", "photo.png"], ["only .safetensors files are read"]),
        (["--lora", "bad.safetensors"], ["--lora bad.safetensors: not a safetensors file"]),
        (["--lora", "bad.safetensors:nan"], ["the scale must be a number, got 'nan'"]),
        (["--lora", "bad.safetensors:x"], ["the scale must be a number, got 'x'"]),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("unloadable")
def test_a_bad_option_is_refused(edit, arguments, messages):
    """The line names the option or the field, and what came."""
    Path("bad.safetensors").write_bytes(b"\x80\x04}pickle")
    refused(edit(*arguments), *messages)


def fill_the_disk(monkeypatch, error):
    """Let every picture be written by half."""

    def save(_picture, file, **_options):
        file.write(b"half")
        raise error

    monkeypatch.setattr(Image.Image, "save", save)


@pytest.mark.parametrize(
    ("error", "status"),
    [(OSError(errno.ENOSPC, "No space left on device"), 2), (KeyboardInterrupt(), 130)],
    ids=["disk full", "ctrl-c"],
)
def test_an_output_that_is_there_survives_a_failed_run(edit, folder, monkeypatch, error, status):
    """Written beside and renamed: the old file is as it was, and no part of the new one is left."""
    Path("out.png").write_bytes(b"old")
    fill_the_disk(monkeypatch, error)
    result = edit("--model", "toy")
    assert result.exit_code == status
    assert len(result.stderr.strip().splitlines()) == 1
    assert Path("out.png").read_bytes() == b"old"
    assert sorted(place.name for place in folder.iterdir()) == ["out.png", "photo.png"]


def test_what_only_the_model_knows_is_refused_too(edit):
    """A height that is no multiple of its grid: one line, and nothing is written."""
    refused(edit("--model", "toy", "--height", "50"), "height must be a multiple of 8, got 50")
    assert not Path("out.png").exists()


def test_without_an_embedded_model_a_model_must_be_named(cli, monkeypatch):
    """The line says how."""
    import refhooks as rh

    monkeypatch.delitem(rh.load_registry().models, "toy", raising=False)
    refused(cli("edit", "photo.png", "x", "-o", "out.png"), "no embedded model 'toy'", "--model")


def test_an_unknown_model_is_refused(edit):
    """With what was probably meant."""
    refused(edit("--model", "tyo"), "there is no model 'tyo'", "Did you mean 'toy'?")


def test_contradicting_options_are_refused(edit):
    """What the one asks for, the other leaves out."""
    refused(edit("--embed", "--no-recipe"), "--embed", "--no-recipe leaves it out")


@pytest.mark.parametrize("option", ["--lora", "--reference"])
def test_a_name_that_no_file_can_have_is_refused(cli, edit, option):
    """As a file that is not there."""
    name = f"{'x' * 300}.safetensors"
    if option == "--lora":
        refused(edit("--lora", name), "there is no such file")
        return
    edit()
    refused(cli("replay", "out.png", "--reference", name), "there is no file")


def test_a_terminal_that_lacks_a_character_ends_no_command():
    """It is written as its number."""
    command = [sys.executable, "-m", "refhooks", "presets"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}

    result = subprocess.run(command, env=environment, capture_output=True, check=False)

    assert result.returncode == 0, result.stderr
    assert b"\\u2013" in result.stdout
