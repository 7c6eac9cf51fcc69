"""``refhooks replay`` and ``refhooks recipe``."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
import tiny
from PIL import Image

import refhooks as rh
from refhooks._apps.recipes import metadata


@pytest.fixture
def made(edit, folder):
    """A picture of the command line."""
    assert edit("--method", "inject", "--strength", 0.5).exit_code == 0
    return folder / "out.png"


def test_an_edit_says_no_more_than_before(edit, folder):
    """The recipe travels in silence; it can be left out, or take the pictures with it."""
    result = edit("--model", "toy")

    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1
    assert rh.load_recipe("out.png").embedded == {}
    edit("--embed")
    assert len(rh.load_recipe("out.png").embedded) == 1
    edit("--no-recipe")
    with pytest.raises(rh.InputError, match="carries no recipe"):
        rh.load_recipe("out.png")


def test_a_picture_is_made_again(cli, made, toy):
    """Beside it, to the bit, and said so."""
    result = cli("replay", "out.png")

    assert result.exit_code == 0, result.stderr
    assert "wrote out-replay.png, the same picture to the bit" in result.stdout
    assert Image.open("out-replay.png").tobytes() == Image.open("out.png").tobytes()


def test_settings_make_another_picture(cli, made, toy):
    """It is not said to be the same; its own recipe has them."""
    arguments = ["--set", "strength=0.4:1", "--set", "seed=9", "--set", "cfg=1.5", "-o", "b.webp"]
    result = cli("replay", "out.png", *arguments)

    recipe = rh.load_recipe("b.webp")
    assert result.exit_code == 0, result.stderr
    assert "same picture" not in result.stdout
    assert (recipe.seed, recipe.cfg) == (9, 1.5)
    assert recipe.references[0].strategy["stage"][0]["strength"] == "0.4:1"


def test_another_photo_is_taken(cli, made, folder, toy):
    """With a warning."""
    (folder / "photo.png").unlink()
    tiny.picture(5, (32, 24)).save("new.png")

    result = cli("replay", "out.png", "--reference", "new.png")

    assert result.exit_code == 0, result.stderr
    assert "warning: reference 1 is new.png, not the recorded photo.png" in result.stderr


def test_a_replay_does_not_write_over_what_it_reads(cli, made, toy):
    """Also where nobody named it: the photo lies beside the picture."""
    before = Path("photo.png").read_bytes()

    result = cli("replay", "out.png", "-o", "photo.png")

    assert result.exit_code == 2
    assert "photo.png is one of the pictures to read; name another output" in result.stderr
    assert Path("photo.png").read_bytes() == before


@pytest.mark.parametrize("command", ["edit", "replay"])
def test_a_run_is_not_lost_for_what_cannot_go_inside(cli, edit, made, monkeypatch, command):
    """The picture is written, with its recipe and a warning."""
    monkeypatch.setattr(metadata, "MAX_EMBEDDED", 100)

    if command == "edit":
        result = edit("--embed")
    else:
        result = cli("replay", "out.png", "-o", "out.webp", "--embed")

    assert result.exit_code == 0, result.stderr
    assert "warning: saved without --embed: the pictures are larger than 64 MiB" in result.stderr
    place = "out.png" if command == "edit" else "out.webp"
    assert rh.load_recipe(place).embedded == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.png"], "there is no file none.png"),
        (["photo.png"], "photo.png carries no recipe"),
        (["out.png", "--set", "strength"], "--set strength: once for each name"),
        (["out.png", "--set", "strength=3"], "--set strength=3: strength must be"),
        (["out.png", "--set", "steps=x"], "steps must be a number"),
        (["out.png", "--set", "seed=1", "--set", "seed=2"], "once for each name"),
        (["out.png", "--set", "strenght=1"], "Did you mean 'strength'"),
        (["out.png", "--reference", "none.png"], "there is no file none.png"),
        (["out.png", "-o", "out.png"], "out.png is one of the pictures to read"),
        (["out.png", "-o", "out.gif"], "the ending must be one of"),
    ],
)
def test_what_cannot_be_is_refused_before_the_model_loads(cli, made, unloadable, arguments, words):
    """With one line."""
    result = cli("replay", *arguments)

    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_recipe_does_not_choose_what_is_loaded(cli, made, toy, unloadable):
    """A model that is not embedded has to be named."""
    [picture] = [Image.open("out.png").convert("RGB")]
    recipe = rh.load_recipe("out.png")
    model = attrs.evolve(recipe.model, name="stranger/model")
    result = rh.EditResult(
        images=(picture,), latents=None, timetable=rh.Timetable(()), seeds=(1,),
        recipes=(attrs.evolve(recipe, model=model),),
    )  # fmt: skip
    result.save("out.png")

    refused = cli("replay", "out.png")

    assert refused.exit_code == 2
    assert "add --model stranger/model" in refused.stderr


def test_a_recipe_is_printed_and_removed(cli, made):
    """As JSON; a second time there is none."""
    held = json.loads(cli("recipe", "out.png").stdout)
    before = Image.open("out.png").tobytes()

    assert held["prompt"] == "make it blue"
    assert cli("recipe", "out.png", "--strip").stdout == "removed the recipe of out.png\n"
    assert Image.open("out.png").tobytes() == before
    for arguments in (["--strip"], []):
        result = cli("recipe", "out.png", *arguments)
        assert result.exit_code == 2
        assert "out.png carries no recipe" in result.stderr


def test_denoise_is_told_in_whole_steps(edit, cli):
    """By a replay, and for each value of a grid."""
    edit("--steps", 4, "--denoise", 0.7)
    note = "note: denoise 0.7: the last 4 of 6 steps, which is 0.667"
    assert note in cli("replay", "out.png", "-o", "again.png").stderr

    grid = ("--rows", "denoise=0.7,1", "--seeds", 0, "--steps", 4, "-o", "g.png")
    told = cli("grid", "photo.png", "make it blue", *grid).stderr
    assert told.count("note: denoise") == 1
    assert note in told


def test_what_the_source_s_file_says_is_kept_where_it_is_asked_for(cli, edit, folder, toy):
    """By edit, replay and chain; a picture is not lost where nothing can be kept."""
    exif = Image.Exif()
    exif[0x010E] = "a harbour"
    tiny.picture(1, (32, 24)).save("photo.jpg", exif=exif)
    keep = ["--metadata", "keep"]
    common = ["--model", "toy", "--steps", 2, "--seed", 1]

    assert cli("edit", "photo.jpg", "make it blue", "-o", "a.jpg", *common).exit_code == 0
    assert cli("edit", "photo.jpg", "make it blue", "-o", "b.png", *common, *keep).exit_code == 0
    assert cli("replay", "b.png", "-o", "c.webp", *keep).exit_code == 0
    chain = ["chain", "photo.jpg", "-p", "make it blue", "-p", "make it red", "-o", "d.png"]
    assert cli(*chain, *common, *keep).exit_code == 0

    said = {}
    for name in ("a.jpg", "b.png", "c.webp", "d-1.png", "d.png"):
        with Image.open(name) as opened:
            said[name] = opened.getexif().get(0x010E)
    kept = dict.fromkeys(("b.png", "c.webp", "d-1.png", "d.png"), "a harbour")
    assert said == {"a.jpg": None, **kept}
