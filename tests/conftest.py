"""Fixtures: a tiny editor, and stock sizes small enough for a test."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from pathlib import Path

import pytest

import refhooks as rh

# Read where torch is imported: tiny tensors, for which a second thread costs more than it brings,
# here and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

sys.path.insert(0, str(Path(__file__).parent))

# What imports torch is imported in the fixtures: the process that only hands out files to workers
# reads this file as well.

SIDE = 32  # of the pictures that tests edit, in pixels


def pytest_collection_modifyitems(items):
    """Begin with the files of long tests, so that none is left when all else is done."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish():
    """Let the garbage collector pass over what is there by now: modules, and thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def small_stock(monkeypatch):
    """Shrink the areas to which the stock pipelines resize pictures."""
    import tiny
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus

    original = pipeline_qwenimage_edit.calculate_dimensions
    monkeypatch.setattr(
        pipeline_qwenimage_edit,
        "calculate_dimensions",
        lambda _area, ratio: original(tiny.AREA, ratio),
    )
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", tiny.AREA)
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "CONDITION_IMAGE_SIZE", tiny.AREA)


@pytest.fixture(scope="session")
def pipe():
    """A tiny random QwenImageEditPlusPipeline, shared: refhooks leaves it as it is."""
    import tiny

    return tiny.build("plus", "middle")


@pytest.fixture(scope="session")
def editor(pipe):
    """An editor on the shared pipeline, at 32x32: 16 tokens, each 8 pixels wide."""
    area = SIDE**2
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area))


@pytest.fixture(scope="session")
def edit(editor):
    """``edit()`` of one picture in three steps, unless the call says otherwise."""
    import tiny

    def edit(image=None, prompt="make it blue", **kwargs):
        return editor.edit(
            image or tiny.picture(), prompt, **{"steps": 3, "seed": 1, "cfg": 2.0, **kwargs}
        )

    return edit


@pytest.fixture(scope="module")
def clean(edit):
    """Latents of an edit without plugins."""
    return edit().latents


@pytest.fixture
def never_called(pipe):
    """A context manager that proves that the transformer is not called in it."""

    @contextlib.contextmanager
    def never_called():
        calls = []
        handle = pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
        try:
            yield
        finally:
            handle.remove()
            assert not calls

    return never_called


@pytest.fixture
def toy(monkeypatch, pipe):
    """Register the tiny pipeline as the embedded model."""
    model = rh.EmbeddedModel(
        name="toy",
        description="random weights",
        load=lambda: pipe,
        checkpoint=rh.Checkpoint(
            output=SIDE**2, reference=SIDE**2, vision=SIDE**2, cfg=2.0, steps=2
        ),
    )
    monkeypatch.setitem(rh.load_registry().models, "toy", model)
    return model
