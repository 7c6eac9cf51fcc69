"""The tests of what refhooks works with: each has a pipeline of its own, which it changes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus

sys.path.insert(0, str(Path(__file__).parent))

import plain


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """Shrink the areas to which the stock pipeline resizes pictures."""
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", plain.AREA)
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "CONDITION_IMAGE_SIZE", plain.AREA)


@pytest.fixture
def own():
    """A pipeline that a test may change."""
    return tiny.build("plus", "middle")


@pytest.fixture(scope="module")
def untouched():
    """A pipeline that nothing is done to; built like the others, so that kernels round alike."""
    return tiny.build("plus", "middle")


@pytest.fixture(scope="module")
def expected(untouched):
    """What it makes, in every way."""
    return plain.every_way(untouched)
