"""A command reads each file once, draws each mask once, and reads each strength once."""

from __future__ import annotations

import collections
import functools

import pytest
import tiny
from PIL import ImageFile

import refhooks as rh


@pytest.fixture
def counted(monkeypatch, folder):
    """How often each file is decoded, each mask shape draws its cover, each text is read."""
    for number, name in ((2, "ref.png"), (3, "mask.png")):
        tiny.picture(number, (32, 24)).convert("L" if name == "mask.png" else "RGB").save(name)
    counts = collections.Counter()
    load = ImageFile.ImageFile.load

    def loaded(self):
        if self.tile:
            counts[self.filename.rpartition("/")[2]] += 1
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", loaded)
    registry = rh.load_registry()
    for name, cls in registry.masks.items():
        count(monkeypatch, counts, cls, "cover", f"cover {name}")
    linear = registry.schedules["linear"]
    parse = linear.parse.__func__

    def parsed(cls, text):
        counts[text] += 1
        return parse(cls, text)

    monkeypatch.setattr(linear, "parse", classmethod(parsed))
    return counts


def count(monkeypatch, counts, cls, method, label):
    """Count the calls of a method."""
    original = getattr(cls, method)

    @functools.wraps(original)
    def counting(*given):
        counts[label] += 1
        return original(*given)

    monkeypatch.setattr(cls, method, counting)


GIVEN = ["--ref", "ref.png:cross_attn:0.6", "--mask-region", "mask.png", "--strength", "0.4:1.0"]


@pytest.mark.parametrize("more", [[], ["--feather", 3], ["--preview-every", 1]])
def test_an_edit_does_each_once(edit, counted, more):
    """Checks, plan, run and recipe share what was read."""
    result = edit(*GIVEN, *more)

    assert result.exit_code == 0, result.output
    names = ("photo.png", "ref.png", "mask.png", "cover picture", "0.4:1.0")
    assert {name: counted[name] for name in names} == dict.fromkeys(names, 1)


def test_an_edit_mask_is_drawn_once(edit, counted):
    """Although two ask what it covers: who applies it, and who looks at what has changed."""
    result = edit("--edit-mask", "mask.png", "--feather", 2)

    assert result.exit_code == 0, result.output
    assert (counted["mask.png"], counted["cover picture"]) == (1, 1)


def test_a_grid_reads_its_pictures_once(cli, toy, counted):
    """However many cells it has."""
    result = cli(
        *["grid", "photo.png", "make it blue", "-o", "out.png", "--steps", 2, "--seeds", "1,2"],
        *["--columns", "strength=0.5,1", "--ref", "ref.png", "--mask-region", "mask.png"],
    )

    assert result.exit_code == 0, result.output
    assert [counted[name] for name in ("photo.png", "ref.png", "mask.png")] == [1, 1, 1]


def test_the_next_command_reads_what_is_there_then(edit, counted, folder):
    """Nothing is kept from one command to the next."""
    first = edit(output="one.png")
    tiny.picture(7, (32, 24)).save("photo.png")
    second = edit(output="two.png")

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert counted["photo.png"] == 2
    pictures = [
        rh.load_recipe(name).references[0].picture.sha256 for name in ("one.png", "two.png")
    ]
    assert pictures[0] != pictures[1]


def test_a_call_in_python_decodes_once(toy, counted):
    """Also where the recipe names a mask by its content."""
    editor = rh.Editor.from_pretrained("toy")
    strategy = rh.Strategy("default", masks=[rh.mask("mask.png", kind="region")])
    editor.edit("photo.png", "make it blue", strategy=strategy, steps=2, seed=1)

    assert (counted["photo.png"], counted["mask.png"], counted["cover picture"]) == (1, 1, 1)
