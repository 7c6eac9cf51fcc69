"""Finished work is not lost: a second place, one sidecar for one picture, two threads."""

from __future__ import annotations

import json
import re
import stat
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import refhooks as rh
from refhooks._apps.editing import result as saving
from refhooks._apps.recipes import metadata
from refhooks._apps.recipes.recipe import parse_recipe


@pytest.fixture
def full(monkeypatch, folder):
    """Disks that are full, by the beginnings of the paths on them; the working folder is one."""
    disks = [str(folder / "out")]
    (folder / "out").mkdir()
    (folder / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    real = saving.write_whole

    def write(data, path, **named):
        if str(path.absolute()).startswith(tuple(disks)):
            raise rh.InputError(f"{path} cannot be written: No space left on device")
        real(data, path, **named)

    monkeypatch.setattr(saving, "write_whole", write)
    return disks


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_a_picture_that_cannot_be_written_goes_to_a_place_that_is_named(edit, full, name):
    """As PNG, with its recipe, in a folder that nobody else can read."""
    made = edit()

    with pytest.raises(rh.InputError, match=r"No space left .* is in ") as caught:
        made.save(Path("out", name))

    place = Path(re.search(r"it is in (\S+)", str(caught.value))[1])
    assert np.array_equal(np.asarray(made.image), np.asarray(Image.open(place)))
    assert made.recipe == rh.load_recipe(place)
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700


def test_of_several_pictures_those_that_are_left_are_kept(edit, full, monkeypatch):
    """What is written already is not written twice."""
    made, real, count = edit(n=3), saving.save_picture, [0]
    full.clear()

    def save(picture, path, inside=None):
        if "out" in path.parts:
            count[0] += 1
            if count[0] > 1:
                raise rh.InputError(f"{path} cannot be written: full")
        real(picture, path, inside)

    monkeypatch.setattr(saving, "save_picture", save)
    with pytest.raises(rh.InputError, match=r"out/a-2.png cannot .* 2 pictures") as caught:
        made.save("out/a.png")

    kept = Path(re.search(r"it is in ([^\s,]+)", str(caught.value))[1])
    assert [path.name for path in Path("out").iterdir()] == ["a-1.png"]
    assert sorted(path.name for path in kept.iterdir()) == ["a-2.png", "a-3.png"]


def test_where_no_place_is_left_the_loss_is_told(edit, full, folder, monkeypatch):
    """Nothing half-written stays behind."""
    full.append("/")

    with pytest.raises(rh.InputError, match="so it is lost"):
        edit().save("out/a.png")

    assert list((folder / "tmp").iterdir()) == []


@pytest.fixture
def sidecars(monkeypatch):
    """No recipe fits into a JPEG."""
    monkeypatch.setattr(metadata, "MAX_XMP", 10)


@pytest.mark.filterwarnings("ignore::refhooks.RefhooksWarning")
@pytest.mark.usefixtures("sidecars")
class TestSidecars:
    def test_a_sidecar_of_another_picture_is_refused(self, edit):
        """It holds the hash of its own picture's file; by its own name it is still read."""
        first, second = edit(seed=1), edit(seed=2)
        first.save("a.jpg")
        second.save("b.jpg")
        Path("b.jpg").replace("a.jpg")

        with pytest.raises(rh.InputError, match="is of another picture"):
            rh.load_recipe("a.jpg")
        assert first.recipe == rh.load_recipe("a.jpg.recipe.json")

    def test_a_sidecar_from_before_is_taken(self, edit):
        """It has no hash."""
        made = edit()
        made.save("a.jpg")
        place = Path("a.jpg.recipe.json")
        data = json.loads(place.read_text())
        assert {"recipe", "embedded", "picture"} == set(data)
        del data["picture"]
        place.write_text(json.dumps(data))

        assert made.recipe == rh.load_recipe("a.jpg")

    @pytest.mark.parametrize("value", [1, None, ["a"], {}])
    def test_a_hash_is_a_text(self, edit, value):
        """Whatever a stranger writes there."""
        edit().save("a.jpg")
        place = Path("a.jpg.recipe.json")
        place.write_text(json.dumps({**json.loads(place.read_text()), "picture": value}))

        with pytest.raises(rh.InputError, match="picture must be the hash"):
            rh.load_recipe("a.jpg")

    def test_a_private_picture_has_a_private_sidecar(self, edit):
        """It tells as much as the picture."""
        made = edit()
        Path("a.jpg").touch(0o600)
        made.save("a.jpg", embed=True)

        assert stat.S_IMODE(Path("a.jpg.recipe.json").stat().st_mode) == 0o600

    def test_two_threads_that_save_one_file_do_not_mix(self, edit):
        """The picture and what lies beside it are of one of them."""
        made = [edit(seed=seed) for seed in (1, 2)]
        for _ in range(20):
            both = threading.Barrier(2)

            def save(result, both=both):
                both.wait()
                result.save("a.jpg")

            threads = [threading.Thread(target=save, args=(it,)) for it in made]
            [it.start() for it in threads]
            [it.join() for it in threads]
            assert rh.load_recipe("a.jpg").seed in (1, 2)


def test_a_file_of_that_name_which_is_no_sidecar_stays(edit):
    """It is its owner's."""
    Path("a.png.recipe.json").write_text('{"mine": 1}')
    edit().save("a.png")

    assert Path("a.png.recipe.json").read_text() == '{"mine": 1}'


LISTS = [
    ("lost",), ("notes",), ("model", "extras"), ("files",), ("plugins",), ("references",),
    ("prompts",), ("negative",), ("seeds",),
]  # fmt: skip


@pytest.mark.parametrize("path", LISTS, ids=".".join)
@pytest.mark.parametrize("value", ["a text", "", {}, {"a": 1}, 1, True, None])
def test_a_list_of_a_recipe_is_a_list(edit, path, value):
    """A text is no list of letters, and a table none of its keys."""
    table = edit().recipe.as_dict()
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value

    with pytest.raises(rh.InputError, match="that is no recipe"):
        parse_recipe(json.dumps(table).encode(), "a recipe")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("versions", {"torch": 1}),
        ("versions", ["torch"]),
        ("used", {"inject": None}),
        ("steps", True),
        ("steps", 2.0),
        ("cfg", "1"),
        ("cfg", True),
        ("height", 2**17),
        ("pixels", 5),
        ("edit_mask", [1]),
        ("model", "toy"),
        ("notes", [1]),
        ("notes", ["x"] * 2000),
        ("seeds", [1.5]),
        ("seeds", [True]),
    ],
)
def test_a_value_of_a_recipe_has_its_type_and_range(edit, key, value):
    """Nothing is turned into what was expected."""
    table = {**edit().recipe.as_dict(), key: value}

    with pytest.raises(rh.InputError, match="that is no recipe"):
        parse_recipe(json.dumps(table).encode(), "a recipe")
