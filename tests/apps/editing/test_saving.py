"""Results are saved whole or not at all."""

from __future__ import annotations

import errno
import os
import stat

import pytest
import tiny
import torch
from PIL import Image

import refhooks as rh


def names(folder):
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def result(count=1, size=(24, 16)):
    """Return a finished edit of some pictures."""
    return rh.EditResult(
        images=tuple(tiny.picture(number, size) for number in range(count)),
        latents=torch.zeros(1),
        timetable=rh.Timetable(()),
        seeds=tuple(range(count)),
    )


@pytest.mark.parametrize(
    "name", ["a.png", "a.JPG", "a.jpeg", "a.webp", "a b.c.PNG", "x" * 251 + ".png"]
)
def test_a_picture_is_saved_in_the_format_of_its_ending(tmp_path, name):
    """In either case of the letters, up to the longest name that the disk takes."""
    paths = result().save(tmp_path / name)

    assert (tmp_path / name,) == paths
    assert [name] == names(tmp_path)
    with Image.open(paths[0]) as saved:
        expected = {"png": "PNG", "webp": "WEBP"}.get(name.lower().rsplit(".", 1)[1], "JPEG")
        assert (expected, (24, 16)) == (saved.format, saved.size)


def test_a_png_keeps_every_pixel(tmp_path):
    """What was made is what is read."""
    made = result()

    made.save(str(tmp_path / "a.png"))

    assert made.image.tobytes() == Image.open(tmp_path / "a.png").tobytes()


def test_several_pictures_are_numbered(tmp_path):
    """From 1, before the ending."""
    paths = result(3).save(tmp_path / "night.png")

    assert names(tmp_path) == ["night-1.png", "night-2.png", "night-3.png"]
    assert [path.name for path in paths] == ["night-1.png", "night-2.png", "night-3.png"]


def test_a_saved_file_has_the_usual_permissions(tmp_path):
    """Those of any file the user makes."""
    (tmp_path / "usual").touch()

    (path,) = result().save(tmp_path / "a.png")

    assert stat.S_IMODE((tmp_path / "usual").stat().st_mode) == stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.gif", "the ending must be one of .png, .jpg, .jpeg, .webp"),
        ("a", "the ending must be one of"),
        ("a.", "the ending must be one of"),
        (".png", "the ending must be one of"),
        ("missing/a.png", "there is no folder"),
        ("folder.png", "is a directory; name a file"),
        ("file/a.png", "there is no folder"),
        ("x" * 300 + ".png", "cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(tmp_path, name, words):
    """The message names the path and what to do."""
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(rh.InputError) as caught:
        result().save(tmp_path / name)

    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert names(tmp_path) == ["file", "folder.png"]


def test_a_folder_without_permission_is_refused(tmp_path, monkeypatch):
    """Before anything is written."""
    monkeypatch.setattr(os, "access", lambda path, _mode: path != tmp_path)

    with pytest.raises(rh.InputError, match="cannot be written"):
        result().save(tmp_path / "a.png")

    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch, error):
    """A full disk or an interrupt leaves neither half a picture nor a temporary file."""
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def half(_picture, file, **_):
        file.write(b"half a pict")
        raise error

    monkeypatch.setattr(Image.Image, "save", half)
    expected = rh.InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        result().save(path)

    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]
    if expected is rh.InputError:
        assert f"{path} cannot be written" in str(caught.value)
        assert "No space left" in str(caught.value)


def test_a_picture_too_large_for_its_format_is_refused(tmp_path):
    """WEBP ends at 16383 pixels a side."""
    with pytest.raises(rh.InputError, match=r"a\.webp cannot be written"):
        result(size=(16384, 1)).save(tmp_path / "a.webp")

    assert names(tmp_path) == []


def test_the_first_picture_and_seed_are_at_hand():
    """`image` and `seed` are those of the first."""
    made = result(2)

    assert made.images[0] is made.image
    assert made.seed == 0
