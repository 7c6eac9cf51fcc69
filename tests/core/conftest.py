"""One small editor for all core tests: refhooks leaves a model as it was, and these prove it."""

from __future__ import annotations

import pytest
import tiny

import refhooks as rh

AREA = 32 * 32


@pytest.fixture(scope="session")
def editor(pipe):
    """An editor on the shared pipeline, at 32x32."""
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=AREA, reference=AREA, vision=AREA))


@pytest.fixture(scope="session")
def edit(editor):
    """``edit()`` of one picture in three steps, unless the call says otherwise."""

    def edit(image=None, prompt="make it blue", **kwargs):
        return editor.edit(
            image or tiny.picture(), prompt, **{"steps": 3, "seed": 1, "cfg": 2.0, **kwargs}
        )

    return edit


@pytest.fixture(scope="session")
def clean(edit):
    """Latents of an edit without plugins."""
    return edit().latents
