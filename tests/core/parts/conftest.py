"""Small pipelines of every family that is shipped, and of a stranger's, to be broken."""

from __future__ import annotations

import copy
import functools
import sys
from pathlib import Path

import pytest
import tiny

import refhooks as rh
from refhooks_qwen21._tiny import tiny_pipeline as tiny_21

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "testing"))

import families
from small import SIDE


@functools.cache
def built(family):
    """One of each, never changed."""
    if family == "toy":
        return rh.Editor.from_pretrained("toy").pipe
    if family == "2.1":
        return tiny_21()
    return families.tiny() if family == "stranger" else tiny.build(family, "middle")


@pytest.fixture
def new():
    """``new(family)`` returns an editor whose pipeline a test may change."""

    def new(family, **options):
        pipe = copy.deepcopy(built(family))
        pipe.set_progress_bar_config(disable=True)
        area = SIDE * SIDE
        checkpoint = rh.Checkpoint(output=area, reference=area, vision=area)
        plugins = [families.adapter()] if family == "stranger" else []
        return rh.Editor(pipe, checkpoint=checkpoint, plugins=plugins, **options)

    return new


@pytest.fixture
def never_encoded(monkeypatch):
    """``never_encoded(editor)``: from then on its text encoder and VAE may not be called."""

    def never_encoded(editor):
        fail = functools.partial(pytest.fail, "encoded")
        monkeypatch.setattr(editor.pipe.text_encoder, "forward", lambda *_, **__: fail())
        monkeypatch.setattr(editor.pipe.vae, "encode", lambda *_, **__: fail())

    return never_encoded
