"""A small editor, a folder with pictures, and an edit that uses every part of a recipe."""

from __future__ import annotations

import pytest
import tiny

import refhooks as rh


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with two pictures and a mask."""
    monkeypatch.chdir(tmp_path)
    tiny.picture(1, (32, 24)).save("photo.png")
    tiny.picture(2, (32, 24)).save("style.png")
    tiny.picture(3, (32, 24)).convert("L").save("face.png")
    return tmp_path


@pytest.fixture
def edit(editor, folder):
    """``edit()`` of the folder's picture in two steps, unless the call says otherwise."""

    def edit(image="photo.png", prompt="make it blue", **options):
        return editor.edit(image, prompt, **{"steps": 2, "seed": 1, "cfg": 2.0, **options})

    return edit


@pytest.fixture
def full(edit):
    """Two pictures of an edit with stages, schedules, masks, references and an edit mask."""
    stages = [
        rh.Stage("inject", rh.schedule("linear", start=0.4, end=1.0), until=0.5),
        rh.Stage(rh.method("cross_attn", softmax="separate"), "0.4:0.8"),
    ]
    strategy = rh.Strategy(stages, masks=[rh.mask("face.png", feather=2)])
    return edit(
        strategy=strategy,
        references=["style.png"],
        edit_mask="0,0,20,20",
        denoise=0.8,
        n=2,
        steps=4,
    )
