"""An edit of 4 by 4 tokens, which masks divide."""

from __future__ import annotations

import pytest
import tiny


@pytest.fixture(scope="session")
def edit(editor):
    """``edit()`` of a square picture in two steps, unless the call says otherwise."""

    def edit(image=None, prompt="make it blue", **kwargs):
        picture = tiny.picture(0, (32, 32)) if image is None else image
        return editor.edit(picture, prompt, **{"steps": 2, "seed": 1, "cfg": 1.0, **kwargs})

    return edit
