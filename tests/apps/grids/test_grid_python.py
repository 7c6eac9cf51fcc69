"""``editor.grid``: the command's grid in Python."""

from __future__ import annotations

import pytest
import tiny
from PIL import Image, ImageChops

import refhooks as rh


@pytest.fixture
def grid(editor, folder):
    """``editor.grid`` of the folder's picture in two steps."""

    def make(**options):
        return editor.grid("photo.png", "make it blue", **{"steps": 2, "cfg": 2.0, **options})

    return make


def same(picture, other):
    """Whether two pictures are one."""
    return ImageChops.difference(picture, other).getbbox() is None


def test_a_cell_is_the_edit_it_says(grid, editor):
    """Rows, columns and seeds; the labels say which it is."""
    made = grid(methods=["default", "inject"], strengths=[0.5, 1], seeds=[1, 2])

    assert made.rows == ("default\nseed 1", "default\nseed 2", "inject\nseed 1", "inject\nseed 2")
    assert made.columns == ("strength 0.5", "strength 1")
    single = editor.edit(
        "photo.png", "make it blue", method="inject", strength=0.5, seed=2, steps=2, cfg=2.0
    )
    assert same(made.images[3][0], single.image)


def test_fields_are_named_as_on_the_command_line(grid, editor):
    """A preset, a strategy or a reference is the same in every cell."""
    made = grid(rows={"denoise": [0.5, 1.0]}, columns={"cross_attn.softmax": ["joint", "separate"]},
                method="cross_attn", references=[tiny.picture(2, (32, 24))])  # fmt: skip

    single = editor.edit(
        "photo.png", "make it blue", strategy=rh.method("cross_attn", softmax="separate"),
        denoise=0.5, references=[tiny.picture(2, (32, 24))], seed=0, steps=2, cfg=2.0,
    )  # fmt: skip
    assert same(made.images[0][1], single.image)


def test_an_option_that_is_varied_names_its_method(grid, editor):
    """As on the command line."""
    made = grid(rows={"inject.formula": ["add", "blend"]}, strengths=[0.4])

    single = editor.edit(
        "photo.png", "make it blue", method=rh.method("inject", formula="blend"), strength=0.4,
        seed=0, steps=2, cfg=2.0,
    )  # fmt: skip
    assert same(made.images[1][0], single.image)


def test_where_nothing_is_varied_methods_and_strengths_are(grid, editor):
    """Those methods that the model can do."""
    made = grid()

    able = set(made.rows)
    assert able <= set(editor.registry.methods)
    assert {"default", "cross_attn"} <= able
    assert made.columns == ("strength 0", "strength 0.5", "strength 1", "strength 1.5")


def test_cells_are_kept_in_a_folder(grid, folder, monkeypatch):
    """Those that are there are not made again; the sheet is saved whole."""
    first = grid(strengths=[0.5, 1], cells="cells")
    monkeypatch.setattr(
        "refhooks._apps.editing.edit.run_edit", lambda *_, **__: pytest.fail("a cell is made again")
    )
    made = grid(strengths=[0.5, 1], cells="cells")

    assert len(list((folder / "cells").glob("*.png"))) == 2
    assert all(same(a, b) for a, b in zip(first.images[0], made.images[0], strict=True))
    assert made.save("sheet.png").name == "sheet.png"
    with Image.open("sheet.png") as sheet:
        assert sheet.size == made.sheet.size


def test_seeds_of_a_cell_run_in_one_pass(grid, edits):
    """Each picture is that of its seed alone, but for rounding; the last pass may be smaller."""
    together = grid(strengths=[0.5, 1], methods=["inject"], seeds=[3, 1, 8], batch=2)
    alone = grid(strengths=[0.5, 1], methods=["inject"], seeds=[3, 1, 8])

    passes = [options["seed"] for options in edits]
    assert passes == [[3, 1], [3, 1], 8, 8, 3, 3, 1, 1, 8, 8]
    assert together.rows == alone.rows
    for made, expected in zip(together.images, alone.images, strict=True):
        for one, other in zip(made, expected, strict=True):
            extrema = ImageChops.difference(one, other).getextrema()
            assert max(high for _, high in extrema) <= 1


def test_a_batch_keeps_each_cell_as_its_own(grid, folder, editor):
    """With its recipe, which replays; a missing one runs with those that it was made with."""
    made = grid(strengths=[1], seeds=[3, 1, 8], batch=3, cells="cells")
    kept = {path: path.read_bytes() for path in (folder / "cells").glob("*.png")}
    assert sorted(rh.load_recipe(path).seed for path in kept) == [1, 3, 8]
    lost = next(path for path in kept if rh.load_recipe(path).seed == 1)
    assert same(editor.replay(lost).image, made.images[1][0])

    lost.unlink()
    grid(strengths=[1], seeds=[3, 1, 8], batch=3, cells="cells")
    assert {path: path.read_bytes() for path in (folder / "cells").glob("*.png")} == kept
    grid(strengths=[1], seeds=[3, 1, 8], cells="cells")
    assert len(list((folder / "cells").glob("*.png"))) == 6  # alone they round otherwise


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 2}, "a grid takes no n"),
        ({"seed": 2}, "a grid takes no seed"),
        ({"strengths": 0.5}, "strengths must be a list of values, got 0.5"),
        ({"strengths": [0.5, 0.5]}, "strengths: 0.5 is there twice"),
        ({"strengths": [object()]}, "a grid varies numbers, texts"),
        ({"strengths": [3]}, "strength must be a number from 0 to 2"),
        ({"methods": ["nope"]}, "there is no method 'nope'"),
        ({"methods": ["inject"], "method": "inject"}, "method is given, and the grid varies it"),
        ({"methods": ["inject"], "rows": {"steps": [2]}}, "methods is short for rows="),
        ({"rows": ["steps"]}, "rows must be one field and its values"),
        ({"rows": {"size": [2]}}, "there is no field 'size'"),
        ({"seeds": [-1]}, "a seed must be a whole number"),
        ({"batch": 0}, "batch must be a whole number from 1 to 2000"),
        ({"batch": 2}, "batch 2 runs a cell's seeds in one pass, and seeds names only 0"),
        ({"batch": 2, "rows": {"seed": [1, 2]}}, "and seeds names only 0; name several"),
        ({"tile": 0}, "tile must be a whole number from 16 to 4096"),
        ({"num_inference_steps": 4}, "its name here is steps"),
        ({"cells": "photo.png"}, "photo.png cannot be made"),
    ],
)
def test_what_cannot_be_a_grid_is_told_before_a_picture(grid, editor, monkeypatch, options, said):
    """In one sentence; nothing is encoded."""
    monkeypatch.setattr(editor.family.pipe.vae, "encode", lambda *_: pytest.fail("encoded"))
    with pytest.raises(rh.RefhooksError, match=said):
        grid(**options)
