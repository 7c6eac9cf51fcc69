"""The embedded model, for runs that have a problem and runs that have none."""

from __future__ import annotations

import functools

import pytest

import refhooks as rh

STEPS = 6


@pytest.fixture(scope="session")
def toy():
    """The embedded model, without a progress bar."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


@pytest.fixture(scope="session")
def edit(toy):
    """Edit the first sample in six steps; the same edit runs once."""
    source = rh.load_registry().models["toy"].samples()[0]

    @functools.cache
    def edit(prompt="make it night", **options):
        return toy.edit(source, prompt, **{"steps": STEPS, "seed": 0, **options})

    return edit


@pytest.fixture(scope="session")
def problems(edit):
    """Return the names of the issues of an edit."""

    def problems(*arguments, **options):
        return [issue.problem for issue in edit(*arguments, **options).advice.issues]

    return problems
