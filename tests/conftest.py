"""Fixtures: a tiny editor, and stock sizes small enough for a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus

sys.path.insert(0, str(Path(__file__).parent))

import tiny

import refhooks as rh

torch.set_num_threads(1)  # tiny tensors: a second thread costs more than it brings


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


@pytest.fixture
def editor(pipe):
    """An editor on the shared pipeline, at 64x64."""
    return rh.Editor(
        pipe, checkpoint=rh.Checkpoint(output=tiny.AREA, reference=tiny.AREA, vision=tiny.AREA)
    )
