"""``refhooks demo``: what it writes, and that the commands it names work."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
import tiny
from PIL import Image, ImageChops

import refhooks as rh

FILES = ["before-after.png", "edited.png", "photo.png"]
PROMPTS = ("make it night", "make the star's colour red", "add a cloud")


@pytest.fixture
def samples(toy, tmp_path):
    """Give the embedded model two sample pictures and three prompts."""
    places = [tmp_path / "samples" / f"{number}.png" for number in range(2)]
    places[0].parent.mkdir()
    for seed, place in enumerate(places):
        tiny.picture(seed, (32, 32)).save(place)
    object.__setattr__(toy, "samples", lambda: places)
    object.__setattr__(toy, "prompts", PROMPTS)
    return places


def test_the_demo_writes_photo_picture_and_sheet(cli, samples, folder):
    """The first sample, edited by the first prompt from seed 0; the sheet shows both."""
    result = cli("demo")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(place.name for place in (folder / "demo").iterdir()) == FILES
    photo, edited = Image.open("demo/photo.png"), Image.open("demo/edited.png")
    assert ImageChops.difference(photo, Image.open(samples[0])).getbbox() is None
    with Image.open("demo/before-after.png") as sheet:
        assert sheet.width > 2 * 384
        sheet.load()
        for left, picture in ((16, photo), (416, edited)):
            shown = sheet.crop((left, 64, left + 384, 64 + 384))
            large = picture.resize((384, 384), Image.Resampling.NEAREST)
            assert ImageChops.difference(shown, large).getbbox() is None


@pytest.mark.usefixtures("samples")
def test_the_picture_of_the_demo_can_be_made_again(cli):
    """From what it carries, with the photo that lies beside it."""
    cli("demo")
    result = cli("replay", "demo/edited.png", "-o", "again.png")
    assert (result.exit_code, result.stderr) == (0, "")
    one, other = Image.open("demo/edited.png"), Image.open("again.png")
    assert ImageChops.difference(one, other).getbbox() is None


@pytest.mark.usefixtures("samples")
def test_the_demo_says_where_things_are(cli):
    """The picture and the sheet, as paths from here."""
    stdout = cli("demo", "-o", "my demo").stdout
    assert "the picture:           my demo/edited.png" in stdout
    assert "before and after:      my demo/before-after.png" in stdout


@pytest.mark.usefixtures("samples")
def test_the_three_commands_that_the_demo_names_work(cli, monkeypatch):
    """They can be copied: the program is found from here, and every argument is quoted."""
    monkeypatch.chdir(Path.cwd().parent)
    stdout = cli("demo", "-o", "my demo").stdout
    commands = [shlex.split(line) for line in stdout.splitlines() if " edit " in line]
    assert len(commands) == 3
    for command in commands:
        start = command.index("edit")
        program = Path(command[0])
        assert program.name in {"refhooks", Path(sys.executable).name}
        result = cli(*command[start:])
        assert result.exit_code == 0, result.stderr
    assert {"looser.png", "other.png", "three-1.png", "three-2.png", "three-3.png"} <= {
        place.name for place in Path("my demo").iterdir()
    }


def test_the_program_is_named_so_that_it_is_found(monkeypatch, tmp_path):
    """By its bare name if that is this one, else by its path from here."""
    from refhooks.cli import _demo

    monkeypatch.chdir(tmp_path)
    script = tmp_path / "env" / "refhooks"
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    assert _demo._program() == ["env/python", "-m", "refhooks"]
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert _demo._program() == ["env/refhooks"]
    monkeypatch.setenv("PATH", str(script.parent))
    assert _demo._program() == ["refhooks"]


@pytest.mark.usefixtures("toy", "unloadable")
def test_without_a_sample_there_is_no_demo(cli, folder):
    """One line, and no folder is made."""
    result = cli("demo")
    assert result.exit_code == 2
    assert result.stderr == "error: the embedded model 'toy' ships no sample picture\n"
    assert not (folder / "demo").exists()


@pytest.mark.usefixtures("samples", "unloadable")
def test_a_demo_that_cannot_be_written_is_refused(cli, folder):
    """A file is where the folder should be."""
    (folder / "demo").write_text("mine")
    result = cli("demo")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: demo cannot be made: ")


@pytest.mark.usefixtures("unloadable")
def test_without_an_embedded_model_there_is_no_demo(cli, monkeypatch):
    """The line says where to look."""
    monkeypatch.delitem(rh.load_registry().models, "toy", raising=False)
    result = cli("demo")
    assert result.exit_code == 2
    assert "no embedded model 'toy'; refhooks plugins shows" in result.stderr
