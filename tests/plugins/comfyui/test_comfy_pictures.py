"""A workflow inside of a picture, as ComfyUI writes it there."""

from __future__ import annotations

import json

import flows
import pytest
from click.testing import CliRunner
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from refhooks.cli import main

PROMPT = json.dumps(flows.qwen())
OTHER = json.dumps({"nodes": [], "links": []})


def run(name, *options):
    """Import a picture."""
    return CliRunner().invoke(main, ["import-workflow", name, *options])


def png(path, *texts, zipped=False):
    """Write a PNG with texts."""
    info = PngInfo()
    for name, text in texts:
        info.add_itxt(name, text, zip=True) if zipped else info.add_text(name, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_png_with_both_forms(folder, zipped):
    """What was run comes before what was saved."""
    png(folder / "made.png", ("workflow", OTHER), ("prompt", PROMPT), zipped=zipped)
    result = run("made.png")

    assert result.exit_code == 0, result.stderr
    assert "make it night" in result.stdout
    assert "wrote made.toml from its text 'prompt' (prompt)" in result.stderr
    assert result.stdout.rstrip().endswith("-o made-edit.png")  # not over the picture


def test_a_png_with_the_saved_form_alone(folder):
    """It is read where there is no other."""
    png(folder / "made.png", ("workflow", OTHER))

    assert "it has no sampler" in run("made.png").stderr


def test_a_webp_has_it_in_its_exif(folder):
    """Model: ``prompt:``; Make: ``workflow:``."""
    picture = Image.new("RGB", (8, 8))
    exif = picture.getexif()
    exif[0x0110] = f"prompt:{PROMPT}"
    exif[0x010F] = f"workflow:{OTHER}"
    picture.save(folder / "made.webp", exif=exif)

    result = run("made.webp")
    assert result.exit_code == 0, result.stderr
    assert "make it night" in result.stdout


def test_an_animated_png_has_it_in_a_chunk_of_its_own(folder):
    """``comf``, behind the pixels: a name, a zero byte and the text."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    info = PngInfo()
    info.add(b"comf", b"prompt\0" + PROMPT.encode("latin-1"), after_idat=True)
    frames[0].save(folder / "made.png", save_all=True, append_images=frames[1:], pnginfo=info)

    result = run("made.png")
    assert result.exit_code == 0, result.stderr
    assert "make it night" in result.stdout


@pytest.mark.parametrize("name", ["made.png", "made.webp", "made.jpg"])
def test_a_picture_without_one(folder, name):
    """One sentence says what is missing, and why it may be."""
    Image.new("RGB", (8, 8)).save(folder / name)
    result = run(name)

    assert result.exit_code == 2
    assert f"{name} cannot be imported: it is a picture without a workflow" in result.stderr
    assert not (folder / "made.toml").exists()


def test_a_text_that_is_no_workflow(folder):
    """A picture of another program may have a prompt in words."""
    png(folder / "made.png", ("prompt", "a cat, 4k"))

    assert "its text 'prompt' is not valid JSON" in run("made.png").stderr
