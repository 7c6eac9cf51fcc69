"""A small editor of 4 by 4 tokens, which masks divide."""

from __future__ import annotations

import pytest
import tiny

import refhooks as rh

AREA = 32 * 32


@pytest.fixture(scope="session")
def editor(pipe):
    """An editor on the shared pipeline, at 32x32: a token is 8 pixels wide."""
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=AREA, reference=AREA, vision=AREA))


@pytest.fixture(scope="session")
def edit(editor):
    """``edit()`` of a square picture in two steps, unless the call says otherwise."""

    def edit(image=None, prompt="make it blue", **kwargs):
        picture = tiny.picture(0, (32, 32)) if image is None else image
        return editor.edit(picture, prompt, **{"steps": 2, "seed": 1, "cfg": 1.0, **kwargs})

    return edit
