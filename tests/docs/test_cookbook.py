"""The twelve recipes of the cookbook run as written, and do what they say where they say it."""

from __future__ import annotations

import itertools
import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from places import DOCS

import refhooks as rh

PAGE = (DOCS / "cookbook.md").read_text(encoding="utf-8")
MADE = runpy.run_path(str(DOCS / "make_cookbook.py"), run_name="cookbook")
VISIBLE = 8  # of 255, over the area that a recipe speaks of
RECIPES = {picture: (heading, code) for heading, code, picture in MADE["recipes"](PAGE)}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the recipes know in the end; the photo and others are in the working folder."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    before, folder = Path.cwd(), tmp_path_factory.mktemp("cookbook")
    MADE["prepare"](folder, editor)
    os.chdir(folder)
    *_, (_, _, known) = MADE["run"](editor, PAGE)
    yield known
    os.chdir(before)


def pixels(picture):
    """``[height,width,3]``, 0–255."""
    return np.asarray(picture.convert("RGB"), np.float32)


def apart(one, other, area=None):
    """The mean difference of two pictures, 0–255, over an area ``[height,width]``."""
    difference = np.abs(pixels(one) - pixels(other)).mean(axis=-1)
    return float(difference.mean() if area is None else difference[area].mean())


def boxed(box):
    """The pixels of a box ``x,y,width,height`` of the photo."""
    left, top, width, height = box
    area = np.zeros((64, 64), bool)
    area[top : top + height, left : left + width] = True
    return area


@pytest.fixture(scope="module")
def photo(names):
    """The picture that is edited."""
    with Image.open("demo/photo.png") as opened:
        return opened.convert("RGB")


@pytest.fixture(scope="module")
def face(names):
    """Where the face is."""
    with Image.open("demo/face.png") as opened:
        return np.asarray(opened.convert("L")) > 127


def test_the_page_has_twelve_recipes_each_with_its_picture():
    """Made by docs/make_cookbook.py, which `make evidence` runs."""
    assert len(RECIPES) == 12 == PAGE.count("\n## ")
    assert {name.removeprefix("cookbook-") for name in RECIPES} == {*MADE["PANELS"], "methods"}
    assert all((DOCS / "images" / f"{name}.png").is_file() for name in RECIPES)
    assert "docs/make_cookbook.py" in (DOCS.parent / "Makefile").read_text()


def test_a_face_is_kept(names, photo, face):
    """To the pixel within the feather; without the mask it changes, with it the rest does."""
    free, kept = names["free"].image, names["kept"].image
    assert apart(kept, photo, boxed((42, 42, 12, 12))) == 0.0
    assert apart(free, photo, face) >= VISIBLE
    assert apart(kept, photo, ~face) >= VISIBLE


def test_a_colour_changes_and_nothing_else(names, photo):
    """But for the two pixels that the mask fades out over."""
    near = boxed((1, 32, 32, 32))
    assert apart(names["blue"].image, photo, boxed((3, 34, 28, 28))) >= VISIBLE
    assert apart(names["blue"].image, photo, ~near) == 0.0


def test_a_second_picture_lends_its_style(names):
    """Beside the same edit without it: sky and ground come out nearer to the second picture's."""
    plain, styled = names["plain"].image, names["styled"].image
    with Image.open("demo/style.png") as opened:
        second = opened.convert("RGB")
    between = boxed((27, 2, 7, 30)) | boxed((29, 42, 5, 18))  # where neither picture has a thing
    assert apart(plain, styled, between) >= VISIBLE
    assert apart(styled, second, between) < apart(plain, second, between)


def test_two_people_are_where_they_belong(names, photo):
    """On the left what is in the second picture, on the right what is in the first."""
    both = names["both"].image
    with Image.open("demo/style.png") as opened:
        second = opened.convert("RGB")
    first, other = boxed((36, 35, 25, 26)), boxed((4, 35, 25, 26))
    assert apart(both, photo, other) >= VISIBLE
    assert apart(both, second, other) < apart(both, photo, other)
    assert apart(both, photo, first) < apart(both, second, first)


def test_edits_follow_each_other(names, photo):
    """Each changes something that the one before left."""
    pictures = [photo, *names["made"].images]
    circle, face = boxed((6, 37, 22, 22)), boxed((36, 36, 25, 25))
    assert apart(pictures[1], pictures[0], circle) >= VISIBLE
    assert apart(pictures[2], pictures[1], face) >= VISIBLE
    assert apart(pictures[3], pictures[2]) >= VISIBLE


def test_ten_prompts_make_ten_pictures(names, photo):
    """Each with the strength that was given once."""
    ten = names["ten"]
    assert [recipe.prompt for recipe in ten.recipes] == names["prompts"]
    assert len({image.tobytes() for image in ten.images}) == 10
    assert {row.strength for step in ten.timetable.steps for row in step.rows} == {0.9}
    assert apart(ten.images[0], photo) >= VISIBLE


def test_seeds_make_different_pictures(names):
    """No two are alike, and on average they are far apart."""
    images = names["six"].images
    assert tuple(names["six"].seeds) == (0, 1, 2, 3, 4, 5)
    pairs = [apart(one, two) for one, two in itertools.combinations(images, 2)]
    assert sum(pairs) / len(pairs) >= VISIBLE
    assert min(pairs) >= VISIBLE / 2


def test_a_segmenters_array_is_a_mask(names, photo):
    """The circle is green, the rest as it was."""
    found = names["found"]
    assert 300 < found.sum() < 800
    assert apart(names["green"].image, photo, found) >= VISIBLE
    assert apart(names["green"].image, photo, boxed((34, 0, 30, 64))) == 0.0


def test_a_lora_acts_at_half_strength(names):
    """Half is between none and whole, and it is gone afterwards."""
    whole = MADE["_lora"](names)["at 1"]
    off, half = names["off"].image, names["half"].image
    assert apart(half, off) >= VISIBLE
    assert apart(half, off) < apart(whole, off)
    assert names["editor"].loras == ()


def test_few_steps_take_a_schedule(names):
    """Each keyframe has a step."""
    rows = [step.rows[0].strength for step in names["four"].timetable.steps]
    assert len(rows) == 4
    assert rows == sorted(rows, reverse=True)
    assert rows[0] == 1.0
    assert rows[-2:] == [0.3, 0.3]
    assert apart(names["four"].image, names["flat"].image) >= VISIBLE


def test_methods_are_compared(names):
    """At each strength they differ."""
    images = names["grid"].images
    assert [len(row) for row in images] == [3, 3, 3]
    for column in range(3):
        default, _, inject = (row[column] for row in images)
        assert apart(default, inject) >= VISIBLE


def test_the_strength_is_found(names):
    """The lowest that keeps the structure, beside the ends of what was tried."""
    best, tried, edges = names["best"], names["tried"], names["edges"]
    assert min(tried) < best
    assert edges[min(tried)] < max(edges.values()) - 0.02 <= edges[best]
    assert apart(tried[best].image, tried[min(tried)].image) >= VISIBLE
