"""Masks in strategy files: every form, where their pictures are, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import refhooks as rh

STAGE = '[[stage]]\nmethod = "inject"\n'
REFERENCE = '[[reference]]\nimage = "a.png"\n[[reference.stage]]\nmethod = "inject"\n'
FORMATS = pytest.mark.parametrize("ending", ["toml", "json"])


def write(folder, text, name="s.toml"):
    """Write a file and return its path."""
    place = folder / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return place


FORMS = {
    'box = "10%,10%,50%,50%"': rh.mask("10%,10%,50%,50%"),
    "box = [10, 10, 50, 50.5]": rh.mask((10, 10, 50, 50.5)),
    "polygon = [[0, 0], [10, 0], ['50%', 10]]": rh.mask([(0, 0), (10, 0), ("50%", 10)]),
    'shape = "box"\nbox = "0,0,1,1"': rh.mask("0,0,1,1"),
    'box = "0,0,1,1"\nkind = "content"\nsoft = true\ninvert = true':
        rh.mask("0,0,1,1", kind="content", soft=True, invert=True),
    'box = "0,0,1,1"\nfeather = 8\ntext = "area"': rh.mask("0,0,1,1", feather=8, text="area"),
    'box = "0,0,1,1"\nstrength = 0.5': rh.mask("0,0,1,1", strength=0.5),
    'box = "0,0,1,1"\nstrength = [0, 1]': rh.mask("0,0,1,1", strength=[0, 1]),
    'box = "0,0,1,1"\nstrength = "0:1"': rh.mask("0,0,1,1", strength="0:1"),
    'box = "0,0,1,1"\nstrength = { schedule = "window", value = 1 }':
        rh.mask("0,0,1,1", strength=rh.schedule("window", value=1)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_is_written_in_every_form(tmp_path, form):
    """At the top of a file, and in a reference."""
    top = rh.load_strategy(write(tmp_path, f"{STAGE}[[mask]]\n{form}\n"))
    [reference] = rh.load_references(write(tmp_path, f"{REFERENCE}[[reference.mask]]\n{form}\n"))

    assert top == rh.Strategy("inject", masks=[FORMS[form]])
    assert reference.strategy == top


@pytest.mark.parametrize("key", ["image", "alpha"])
def test_pictures_of_masks_are_relative_to_the_file(tmp_path, monkeypatch, key):
    """Wherever the program is started from; what lies elsewhere keeps its whole path."""
    monkeypatch.chdir(tmp_path)
    masks = f'[[mask]]\n{key} = "face.png"\n[[mask]]\n{key} = "/data/coat.png"\n'
    place = write(tmp_path, STAGE + masks, "sub/s.toml")

    loaded = rh.load_strategy("sub/s.toml")

    read = [getattr(mask.shape, key) for mask in loaded.masks]
    assert read == [Path("sub/face.png"), Path("/data/coat.png")]
    rh.dump_strategy(loaded, "sub/s.toml")
    assert f'{key} = "face.png"' in place.read_text()
    rh.dump_strategy(loaded, "s.toml")
    assert f'{key} = "sub/face.png"' in Path("s.toml").read_text()
    assert rh.load_strategy("s.toml") == loaded


def test_a_mask_of_a_file_acts_as_that_of_a_call(editor, tmp_path):
    """The same latents."""
    tiny.picture(1).save(tmp_path / "photo.png")
    grey = np.zeros((48, 64), np.uint8)
    grey[:, :32] = 255
    Image.fromarray(grey).save(tmp_path / "left.png")
    text = '[[stage]]\nmethod = "default"\n[[mask]]\nimage = "left.png"\nfeather = 2\n'
    mask = rh.mask(tmp_path / "left.png", feather=2)
    latents = []
    for strategy in (
        rh.load_strategy(write(tmp_path, text)),
        rh.Strategy("default", masks=[mask]),
        rh.Strategy("default"),
    ):
        edit = editor.edit(tmp_path / "photo.png", "x", strategy=strategy, steps=2, seed=1, cfg=1)
        latents.append(edit.latents)

    assert torch.equal(latents[0], latents[1])
    assert not torch.equal(latents[0], latents[2])


BAD = {
    "unknown key": ('box = "0,0,1,1"\nfether = 1', "unknown key 'fether'. Did you mean 'feather'?"),
    "unknown key of a named shape": ('shape = "box"\nbx = 1', "Did you mean 'box'?"),
    "known keys": ('box = "0,0,1,1"\nx = 1',
                   "Keys: kind, invert, feather, soft, strength, text, shape, box"),
    "unknown key alone": ('imge = "face.png"', "unknown key 'imge'. Did you mean 'image'?"),
    "nothing covered": ('kind = "region"', "a mask needs one of alpha, array, box, image, polygon"),
    "two shapes": ('image = "a.png"\nbox = "0,0,1,1"', "got box, image"),
    "another shape's key": ('shape = "box"\nimage = "a.png"', "unknown key 'image'"),
    "unknown shape": ('shape = "bux"\nbox = "0,0,1,1"', "no mask shape 'bux'. Did you mean 'box'?"),
    "shape is no name": ('shape = ["box"]', "shape must be a registered name, got ['box']"),
    "kind": ('box = "0,0,1,1"\nkind = "edit"', "kind must be one of region, content; got 'edit'"),
    "kind is a list": ('box = "0,0,1,1"\nkind = ["region"]', "kind must be one of"),
    "feather": ('box = "0,0,1,1"\nfeather = -1', "feather must be a number from 0 to 4096, got -1"),
    "invert": ('box = "0,0,1,1"\ninvert = 1', "invert must be true or false, got 1"),
    "soft region": ('box = "0,0,1,1"\nsoft = true', "soft is for content masks"),
    "text": ('box = "0,0,1,1"\ntext = "half"', "text must be one of full, area, none"),
    "strength": ('box = "0,0,1,1"\nstrength = 1.5', "strength must be a number from 0 to 1"),
    "strength in a list": ('box = "0,0,1,1"\nstrength = [1, 2]', "strength[1] must be a number"),
    "schedule": ('box = "0,0,1,1"\nstrength = { schedule = "liner" }', "Did you mean 'linear'?"),
    "short form": ('box = "0,0,1,1"\nstrength = "much"', "'much' is neither a number"),
    "box": ('box = "0,0,1"', "mask shape 'box': box must be x,y,width,height; got '0,0,1'"),
    "box without area": ("box = [0, 0, 0, 1]", "box width must be above 0, got 0"),
    "polygon": ("polygon = [[0, 0], [1, 1]]", "polygon must have 3 to 10000 points"),
    "image": ("image = 3", "image must be a file's path, got 3"),
    "empty image": ('image = ""', "image must be a file's path, got ''"),
    "alpha": ("alpha = ['a.png']", "alpha must be a file's path, got ['a.png']"),
    "nan": ('box = "0,0,1,1"\nfeather = nan', "holds nan; every number must be finite"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_mask_that_is_none_is_refused(tmp_path, kind):
    """The message names file, reference, mask and key, and what was probably meant."""
    text, words = BAD[kind]
    good = '[[reference.mask]]\nbox = "0,0,1,1"\n'
    place = write(tmp_path, f"{REFERENCE}{REFERENCE}{good}[[reference.mask]]\n{text}\n")

    with pytest.raises((rh.StrategyError, rh.UnknownNameError)) as caught:
        rh.load_references(place)

    where = "" if kind == "nan" else ": reference 2, mask 2: "
    assert f"{place}{where}" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mask = 3\n" + STAGE, "there is no [[mask]]; mask is 3"),
        ("mask = [3]\n" + STAGE, "mask 1: must be a table with kind, invert"),
        ('[[mask]]\nbox = "0,0,1,1"', "there is no [[stage]]"),
        (REFERENCE + '[[mask]]\nbox = "0,0,1,1"', "stage, mask and vision belong into a"),
        ('[[reference]]\nimage = "a.png"\n[[reference.mask]]\nbox = "0,0,1,1"',
         "reference 1: there is no [[stage]]"),
    ],
)  # fmt: skip
def test_a_mask_in_the_wrong_place_is_refused(tmp_path, text, words):
    """It belongs to stages, and to the reference that has them."""
    place = write(tmp_path, text)
    load = rh.load_references if "[[reference]]" in text else rh.load_strategy

    with pytest.raises(rh.StrategyError) as caught:
        load(place)

    assert str(place) in str(caught.value)
    assert words in str(caught.value)


@FORMATS
def test_a_function_over_the_steps_is_written_as_what_it_gave(tmp_path, ending):
    """With the timetable of a run, one value a step of the run, not of a stage."""
    schedule = rh.schedule("callable", function=lambda step: 1 / (1 + step.index))
    masks = [rh.mask("0,0,1,1"), rh.mask("0,0,1,1", kind="content", strength=schedule)]
    strategy = rh.Strategy([rh.Stage("inject", until=0.5), rh.Stage("default")], masks=masks)
    references = [rh.Reference(tmp_path / "a.png"), rh.Reference(tmp_path / "b.png", strategy)]
    timetable = rh.plan(references, 4)

    with pytest.raises(rh.StrategyError, match="reference 2, mask 2: schedule 'callable' holds a"):
        rh.dump_strategy(references, tmp_path / f"r.{ending}")
    place = rh.dump_strategy(references, tmp_path / f"r.{ending}", timetable=timetable)

    again = rh.load_references(place)
    assert again[1].strategy.masks[1].strength == (1.0, 1 / 2, 1 / 3, 1 / 4)
    assert rh.plan(again, 4) == timetable


@attrs.frozen
class Disc:
    """A shape that its only option does not name, and whose option may be left out."""

    name = "disc"
    radius: float = 0.5

    def cover(self, size):
        return torch.ones(size.height, size.width)


@attrs.frozen
class Clash:
    """A shape with an option that every mask has."""

    name = "clash"
    feather: float

    def cover(self, size):
        return torch.ones(size.height, size.width)


@FORMATS
def test_a_strangers_shape_is_named_where_its_options_do_not(tmp_path, monkeypatch, ending):
    """It reads back as it was, with its defaults left out."""
    monkeypatch.setitem(rh.load_registry().masks, "disc", Disc)
    strategy = rh.Strategy("inject", masks=[rh.mask(Disc()), rh.mask(Disc(0.25), feather=1)])
    place = rh.dump_strategy(strategy, tmp_path / f"s.{ending}")

    assert rh.load_strategy(place) == strategy
    with pytest.raises(rh.StrategyError, match="Did you mean 'radius'"):
        rh.load_strategy(write(tmp_path, f'{STAGE}[[mask]]\nshape = "disc"\nradus = 1\n'))


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (rh.mask(Image.new("L", (4, 4))), "mask 1: image is a picture in memory; save it"),
        (rh.mask(np.ones((4, 4))), "mask 1: mask shape 'array' holds .*, which no file can hold"),
        (rh.mask(torch.ones(4, 4)), "save it as a black-and-white picture"),
        (rh.mask(Disc()), "mask 1: mask shape 'disc' is not registered as Disc"),
        (rh.mask(Clash(1.0)), "mask shape 'clash' has the option 'feather', as masks have"),
    ],
)
@FORMATS
def test_a_mask_that_no_file_can_hold_is_refused(tmp_path, monkeypatch, mask, words, ending):
    """Before anything is written."""
    monkeypatch.setitem(rh.load_registry().masks, "clash", Clash)

    with pytest.raises(rh.StrategyError, match=words):
        rh.dump_strategy(rh.Strategy("inject", masks=[mask]), tmp_path / f"s.{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("image", ["face.png", "./face.png", "out/face.png", Path("face.png"), ""])
@pytest.mark.parametrize("place", ["s.toml", "out/s.toml", "out/s.json", "", "out/../s.toml"])
def test_a_mask_with_a_path_reads_back_equal(tmp_path, monkeypatch, image, place):
    """However its path and the file's are written; the empty ones stand for whole paths."""
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    image, place = image or tmp_path / "face.png", place or str(tmp_path / "out" / "s.toml")
    strategy = rh.Strategy("default", masks=[rh.mask(image)])

    rh.dump_strategy(strategy, place)
    monkeypatch.chdir("/")

    read = rh.load_strategy(tmp_path / place)
    monkeypatch.chdir(tmp_path)
    assert read == strategy
    assert hash(read.masks[0].shape) == hash(strategy.masks[0].shape)


def test_a_relative_path_stays_relative(tmp_path, monkeypatch):
    """So a folder can be moved with what lies in it; a whole path elsewhere stays whole."""
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()

    def written(image):
        rh.dump_strategy(rh.Strategy("default", masks=[rh.mask(image)]), "out/s.json")
        return json.loads(Path("out/s.json").read_text())["mask"][0]["image"]

    assert written("face.png") == "../face.png"
    assert written("out/face.png") == "face.png"
    assert written(str(tmp_path / "out" / "face.png")) == "face.png"
    assert written(str(tmp_path / "face.png")) == str(tmp_path / "face.png")


def test_a_path_through_a_linked_folder_is_written_whole(tmp_path, monkeypatch):
    """From there ``..`` leads elsewhere."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    monkeypatch.chdir(tmp_path / "near")
    Path("link").symlink_to(tmp_path / "far" / "deep")
    strategy = rh.Strategy("default", masks=[rh.mask("face.png")])

    rh.dump_strategy(strategy, "link/s.json")

    held = json.loads(Path("link/s.json").read_text())["mask"][0]["image"]
    assert held == str(tmp_path / "near" / "face.png")
    assert rh.load_strategy("link/s.json") == strategy
