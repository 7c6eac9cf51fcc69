"""Recipes travel inside of pictures, and replay to the bit."""

from __future__ import annotations

import json
from importlib.metadata import version

import attrs
import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from results import same

import refhooks as rh

ENDINGS = ["png", "jpg", "webp"]


def picture_of(result, number):
    """Return the result of one picture of a batch."""
    return attrs.evolve(
        result, images=result.images[number:], latents=result.latents[number : number + 1]
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_picture_carries_its_recipe(full, editor, ending):
    """Each of a batch its own; read back it is equal, and replays to the bit."""
    paths = full.save(f"out.{ending}")

    for number, path in enumerate(paths):
        recipe = rh.load_recipe(path)
        assert recipe == full.recipes[number]
        assert (recipe.seed, recipe.prompt) == (number + 1, "make it blue")
        assert same(picture_of(full, number), editor.replay(path))


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_picture_is_the_same_with_a_recipe(full, folder, ending):
    """Its pixels, and every other program's reading of it."""
    [with_it, _] = full.save(f"a.{ending}")
    [without, _] = full.save(f"b.{ending}", recipe=False)

    with Image.open(with_it) as first, Image.open(without) as second:
        assert first.tobytes() == second.tobytes()
    with pytest.raises(rh.InputError, match="carries no recipe"):
        rh.load_recipe(without)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_recipe_is_stripped(full, ending):
    """The file is then the one that was saved without, byte by byte in PNG and JPEG."""
    [with_it, _] = full.save(f"a.{ending}")
    [without, _] = full.save(f"b.{ending}", recipe=False)
    before = Image.open(with_it).tobytes()

    assert rh.strip_recipe(with_it)
    assert not rh.strip_recipe(with_it)

    assert Image.open(with_it).tobytes() == before
    if ending != "webp":
        assert with_it.read_bytes() == without.read_bytes()
    with pytest.raises(rh.InputError, match="carries no recipe"):
        rh.load_recipe(with_it)


def test_a_recipe_says_what_was_done_and_no_path(full, folder):
    """Names without folders, values and not presets, versions of what took part."""
    held = full.recipe.as_dict()

    assert str(folder) not in full.recipe.to_json()
    assert [entry["picture"]["name"] for entry in held["references"]] == ["photo.png", "style.png"]
    stages = held["references"][0]["strategy"]["stage"]
    assert stages[0]["strength"] == {"schedule": "linear", "start": 0.4, "end": 1.0}
    assert stages[1]["method"] == {"method": "cross_attn", "softmax": "separate"}
    assert stages[1]["strength"] == "0.4:0.8"
    assert [entry["name"] for entry in held["files"]] == ["face.png"]
    assert held["edit_mask"] == {"box": ["0", "0", "20", "20"]}
    assert (held["steps"], held["denoise"], held["cfg"]) == (4, 0.8, 2.0)
    assert held["versions"]["torch"] == version("torch")
    assert {"inject", "cross_attn", "masking", "schedules", "qwen", "switching", "default"} == set(
        held["used"]
    )
    assert held["lost"] == []


def test_pictures_go_inside(full, editor, folder, tmp_path_factory, monkeypatch):
    """Then the file alone is enough, anywhere; a replay of it goes inside again."""
    [path, _] = full.save("out.png", embed=True)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    path = path if path.is_absolute() else folder / path
    moved = path.replace(elsewhere / "moved.png")

    again = editor.replay(moved)
    assert same(picture_of(full, 0), again)
    [once_more] = again.save("again.png", embed=True)
    assert rh.load_recipe(once_more).embedded.keys() == rh.load_recipe(moved).embedded.keys()


def test_what_goes_inside_says_nothing_but_pixels(editor, folder):
    """EXIF of a photo, such as where it was taken, stays outside."""
    exif = Image.Exif()
    exif[0x010E] = "secret"
    tiny.picture(1, (32, 24)).save("photo.jpg", exif=exif)
    result = editor.edit("photo.jpg", "make it blue", steps=2, seed=1)

    [path] = result.save("out.png", embed=True)

    assert b"secret" in (folder / "photo.jpg").read_bytes()
    assert b"secret" not in path.read_bytes()
    (folder / "photo.jpg").unlink()
    assert same(result, editor.replay(path))


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_pictures_of_other_formats_lie_beside(full, editor, folder, ending):
    """With a warning; the next picture of that name takes the file away."""
    with pytest.warns(rh.RefhooksWarning, match="does not fit into"):
        [path, _] = full.save(f"out.{ending}", embed=True)
    for name in ("photo.png", "style.png", "face.png"):
        (folder / name).unlink()

    assert (folder / f"out-1.{ending}.recipe.json").is_file()
    assert same(picture_of(full, 0), editor.replay(path))
    assert same(picture_of(full, 0), editor.replay(f"{path}.recipe.json"))
    full.save(f"out.{ending}")
    assert not (folder / f"out-1.{ending}.recipe.json").exists()


def test_a_long_recipe_lies_beside_a_jpeg(edit, folder):
    """A segment holds 64 KiB; PNG and WEBP hold it."""
    with pytest.warns(rh.RefhooksWarning, match="negative_prompt does nothing"):
        result = edit(
            prompt="make it blue" + " and bluer" * 40, negative_prompt="x" * 70_000, cfg=1.0
        )

    with pytest.warns(rh.RefhooksWarning, match="does not fit into"):
        [path] = result.save("out.jpg")
    assert rh.load_recipe(path) == result.recipe
    assert rh.strip_recipe(path)
    assert not list(folder.glob("*.recipe.json"))
    for name in ("out.png", "out.webp"):
        assert rh.load_recipe(*result.save(name)) == result.recipe


def test_functions_are_kept_as_their_values(edit, editor):
    """Of schedules and switches, at each step."""
    schedule = rh.schedule("callable", function=lambda step: 0.2 + 0.5 * step.progress)
    switch = rh.switch("callable", function=lambda step: step.run.index >= 2)
    stages = [rh.Stage("inject", schedule, until=switch), rh.Stage("default")]
    result = edit(strategy=rh.Strategy(stages), steps=4)

    [path] = result.save("out.png")

    stage = rh.load_recipe(path).references[0].strategy["stage"][0]
    assert stage["strength"] == [0.2, 0.7]
    assert stage["until"] == 0.5
    assert same(result, editor.replay(path))


def test_pictures_in_memory_are_known_by_their_pixels(edit, editor, folder):
    """Saved anywhere in any lossless form, they are found; without they are asked for."""
    source = tiny.picture(7, (32, 24))
    [path] = (result := edit(source, references=["style.png"])).save("out.png")

    with pytest.raises(rh.InputError, match=r"reference 1 .* a picture without a name"):
        editor.replay(path)
    source.save("kept.webp", lossless=True)
    assert same(result, editor.replay(path, references=["kept.webp"]))


def test_masks_in_memory_are_drawn(edit, editor, folder):
    """An array of 256 greys is a picture; a finer one says why it cannot be replayed."""
    cover = np.zeros((24, 32), dtype=np.float32)
    cover[4:12, 8:20] = 1.0
    strategies = [
        rh.Strategy("inject", masks=[rh.mask(cover)]),
        rh.Strategy("inject", masks=[rh.mask(Image.open("face.png").copy())]),
    ]
    for strategy in strategies:
        [path] = (result := edit(strategy=strategy)).save("out.png", embed=True)
        assert same(result, editor.replay(path))
    finer = edit(strategy=rh.Strategy("inject", masks=[rh.mask(cover * 0.123456)]))
    [path] = finer.save("out.png")

    with pytest.raises(rh.InputError, match=r"cannot be replayed: .*mask 1.*array"):
        editor.replay(path)


def test_a_failing_recipe_loses_no_edit(edit, monkeypatch):
    """It becomes a warning."""
    monkeypatch.setattr("refhooks._apps.recipes.recording.model_of", lambda _editor: 1 // 0)

    with pytest.warns(rh.RefhooksWarning, match="no recipe: integer division"):
        result = edit()

    assert result.recipe is None
    assert result.save("out.png")


def test_each_edit_of_a_chain_has_a_recipe(editor, folder):
    """Its source is the picture before, by hash and by the name that it was saved under."""
    edits = [rh.Edit("make it blue"), rh.Edit("make it night", reference="original", denoise=0.5)]
    result = editor.chain("photo.png", edits, steps=2, seed=1, handover="pixels")
    result.save("out.png")

    first, second = rh.load_recipe("out-1.png"), rh.load_recipe("out.png")
    assert first.references[0].picture.name == "photo.png"
    assert second.references[0].picture.name == "photo.png"
    assert second.source.name == "out-1.png"
    assert second.source.sha256 == first.pixels
    assert same(result.results[1], editor.replay("out.png"))


def test_latents_that_were_handed_on_are_told(editor, folder, recwarn):
    """A picture holds them but for rounding."""
    edits = [rh.Edit("make it blue"), rh.Edit("make it night")]
    result = editor.chain("photo.png", edits, steps=2, seed=1)
    result.save("out.png")
    recipe = rh.load_recipe("out.png")

    assert recipe.references[0].picture.name == "out-1.png"
    assert "handed on as latents" in " ".join(recipe.differences(editor))
    editor.replay("out.png")


def test_a_job_of_a_batch_has_its_own_recipe(editor, folder):
    """Its own pictures, prompt and seed."""
    from refhooks.batch import Job, edit_batch

    jobs = [Job("photo.png", "make it blue", seed=3), Job("style.png", "make it red", seed=8)]
    result = edit_batch(editor, jobs, steps=2, cfg=2.0)

    one, two = result.recipes
    assert (one.prompt, one.seed, two.prompt, two.seed) == ("make it blue", 3, "make it red", 8)
    assert [it.references[0].picture.name for it in (one, two)] == ["photo.png", "style.png"]
    assert any("in a batch" in note for note in two.differences(editor))
    alone = editor.replay(two, seed=8)
    assert torch.allclose(alone.latents, result.latents[1:], atol=1e-4)


def test_a_picture_from_the_prompt_alone_has_a_recipe(editor, folder):
    """There is no reference to find."""
    result = editor.edit(None, "a house", height=32, width=32, steps=2, seed=4)
    [path] = result.save("out.png")

    assert same(result, editor.replay(path))


def test_json_is_ascii_and_reads_back(edit):
    """Whatever the prompt holds."""
    result = edit(prompt="blue ]]> & <b> \x1b[31m \u2028 日本 \U0001f600")
    for ending in ENDINGS:
        [path] = result.save(f"out.{ending}")
        assert rh.load_recipe(path) == result.recipe
    assert result.recipe.to_json().isascii()
    assert json.loads(result.recipe.to_json())["prompt"] == result.recipe.prompt
