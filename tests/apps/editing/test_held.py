"""What a result keeps in memory, and that it finds again what it does not keep."""

from __future__ import annotations

import gc
import types

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import refhooks as rh
from refhooks.batch import Job, edit_batch

LARGE = (600, 400)  # of sources, far larger than what comes out


def held(result):
    """The pictures, tensors, arrays and bytes that live as long as a result does, as bytes."""
    seen, todo = {}, [result]
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, type | types.ModuleType | types.FunctionType):
            continue
        seen[id(value)] = value
        todo += gc.get_referents(value)
    sizes = []
    for value in seen.values():
        if isinstance(value, Image.Image):
            sizes.append(value.width * value.height * len(value.getbands()))
        elif isinstance(value, torch.Tensor | np.ndarray):
            sizes.append(value.nbytes)
        elif isinstance(value, bytes | bytearray):
            sizes.append(len(value))
    return sizes


@pytest.fixture
def files(tmp_path):
    """Two large sources, and a picture that is a mask."""
    for number in range(2):
        tiny.picture(number, LARGE).save(tmp_path / f"{number}.png")
    mask = Image.new("L", LARGE)
    mask.paste(255, (0, 0, 300, 400))
    mask.save(tmp_path / "mask.png")
    return tmp_path


def region(files):
    """A strategy with a region mask."""
    return rh.Strategy("default", masks=[rh.mask("0,0,50%,100%", kind="region")])


MADE = {
    "edit": lambda edit, _, files: edit(files / "0.png"),
    "text path": lambda edit, _, files: edit(str(files / "0.png")),
    "references": lambda edit, _, files: edit(files / "0.png", references=[files / "1.png"]),
    "region mask": lambda edit, _, files: edit(files / "0.png", strategy=region(files)),
    "edit mask": lambda edit, _, files: edit(files / "0.png", edit_mask=files / "mask.png"),
    "denoise": lambda edit, _, files: edit(files / "0.png", denoise=0.5),
    "batch": lambda _, editor, files: edit_batch(
        editor, [Job(files / f"{n}.png", "x", n) for n in range(2)], steps=2
    ),
    "chain": lambda _, editor, files: editor.chain(
        files / "0.png", [rh.Edit("a"), rh.Edit("b", reference="both")], steps=2
    ),
    "replay": lambda edit, editor, files: editor.replay(
        edit(files / "0.png", references=[files / "1.png"]).save(files / "made.png", embed=True)[0]
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_a_source_in_a_file_is_not_held(edit, editor, files, name):
    """All that a result holds together is smaller than one of its sources."""
    result = MADE[name](edit, editor, files)

    source = LARGE[0] * LARGE[1] * 3
    assert sum(held(result)) < source / 10


def test_it_is_not_held_while_the_edit_waits_to_be_kept(edit, files):
    """Before and after: what is held does not grow with the source."""
    tiny.picture(0, (60, 40)).save(files / "small.png")

    small, large = (sum(held(edit(files / name))) for name in ("small.png", "0.png"))

    assert large == pytest.approx(small, abs=1000)


def test_a_picture_that_was_given_is_held_once(edit):
    """Nothing else has it; what is compared and what is embedded is the same object."""
    picture = tiny.picture(0, LARGE)

    sizes = held(edit(picture))

    assert sorted(sizes)[-2:][1] == LARGE[0] * LARGE[1] * 3
    assert sum(sizes) < 1.1 * LARGE[0] * LARGE[1] * 3


def test_what_is_not_held_is_read_again(edit, files):
    """Advice, comparison and embedding are those of the picture itself."""
    kept, read = edit(tiny.picture(0, LARGE)), edit(files / "0.png")

    assert kept.advice.measured == read.advice.measured
    assert np.array_equal(np.asarray(kept.compare()), np.asarray(read.compare()))
    read.save(files / "made.png", embed=True)
    assert set(rh.load_recipe(files / "made.png").embedded) == {kept.recipe.pictures[0].sha256}


@pytest.mark.parametrize("change", ["other", "gone"])
def test_a_file_that_changed_is_refused(edit, files, change):
    """It is not what the result was made from."""
    result = edit(files / "0.png")
    if change == "gone":
        (files / "0.png").unlink()
    else:
        tiny.picture(1, LARGE).save(files / "0.png")

    words = "there is no picture" if change == "gone" else "has changed since the edit"
    for asks in (lambda: result.advice, result.compare, result.shift):
        with pytest.raises(rh.InputError, match=words):
            asks()


def test_a_relative_path_is_found_from_anywhere(edit, files, monkeypatch, tmp_path_factory):
    """It was that of the folder in which the edit ran."""
    monkeypatch.chdir(files)
    result = edit("0.png")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    assert result.compare().size[0] > 0
