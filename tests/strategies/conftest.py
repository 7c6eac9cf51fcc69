"""A small editor, and what a strategy gives at each step."""

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
    """``edit()`` of one picture in four steps, unless the call says otherwise."""

    def edit(image=None, prompt="make it blue", **kwargs):
        return editor.edit(
            image or tiny.picture(), prompt, **{"steps": 4, "seed": 1, "cfg": 2.0, **kwargs}
        )

    return edit


@pytest.fixture(scope="session")
def strengths():
    """The strength of a schedule, by name or short form, at each of N steps of one stage."""

    def strengths(schedule, steps, **options):
        given = rh.schedule(schedule, **options) if options else schedule
        return rh.plan(rh.Stage("default", given), steps).strengths(0)

    return strengths
