"""A small editor whose checkpoint has a name, and projection files for it."""

from __future__ import annotations

import pytest
import tiny
from joining import CHANNELS, HEADER, SIZES, WIDTH, random
from safetensors.torch import save_file

import refhooks as rh


@pytest.fixture(scope="session")
def editor(pipe):
    """An editor on the shared pipeline, at 32x32, whose checkpoint has a name."""
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(**SIZES, base="tiny"))


@pytest.fixture(scope="session")
def edit(editor):
    """``edit()`` of one picture in three steps, unless the call says otherwise."""

    def edit(image=None, prompt="make it blue", **kwargs):
        return editor.edit(
            image or tiny.picture(), prompt, **{"steps": 3, "seed": 1, "cfg": 2.0, **kwargs}
        )

    return edit


@pytest.fixture
def write(tmp_path):
    """Write a projection file: other tensors and header entries, ``None`` leaves one out."""

    def write(name="p.safetensors", tensors=(), **header):
        held = {"projection.weight": random(WIDTH, CHANNELS), **dict(tensors)}
        said = {key: value for key, value in {**HEADER, **header}.items() if value is not None}
        path = tmp_path / name
        kept = {key: value for key, value in held.items() if value is not None}
        save_file(kept, path, said)
        return path

    return write
