"""Fixtures: a tiny editor, and stock sizes small enough for a test."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus

sys.path.insert(0, str(Path(__file__).parent))

import tiny

import refhooks as rh

torch.set_num_threads(1)  # tiny tensors: a second thread costs more than it brings

SIDE = 32  # of the pictures that tests edit, in pixels


@pytest.fixture
def small_stock(monkeypatch):
    """Shrink the areas to which the stock pipelines resize pictures."""
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
    return tiny.build("plus", "middle")


@pytest.fixture(scope="session")
def editor(pipe):
    """An editor on the shared pipeline, at 32x32: 16 tokens, each 8 pixels wide."""
    area = SIDE**2
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area))


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
