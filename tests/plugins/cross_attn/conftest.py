"""An editor of the stock kind, one whose references are causal, and a look at what a model gets."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import attrs
import pytest
import tiny
import torch

import refhooks as rh

sys.path.insert(0, str(Path(__file__).parent))

from causal import CausalFamily

AREA = 32 * 32
SMALL = rh.Checkpoint(output=AREA, reference=AREA, vision=AREA)


@pytest.fixture
def editor(pipe):
    """An editor on the shared pipeline, at 32x32: 16 tokens."""
    return rh.Editor(pipe, checkpoint=SMALL)


@pytest.fixture(scope="session")
def causal():
    """An editor whose references see only themselves, at t = 0: reuse is exact on it."""
    pipe = tiny.build("plus", "middle", zero_cond_t=True)
    editor = rh.Editor(pipe, checkpoint=SMALL)
    editor.family = CausalFamily(pipe, SMALL)
    return editor


@pytest.fixture
def run():
    """Edit with ``cross_attn``; options of ``edit`` by name, those of the method in ``how``."""

    def run(editor, strength=1.0, how=None, **options):
        stage = rh.Stage(rh.method("cross_attn", **(how or {})), strength)
        call = {"steps": 6, "seed": 1, "cfg": 1.0, "strategy": stage, **options}
        return editor.edit(tiny.picture(0, (32, 32)), "make it blue", **call)

    return run


@pytest.fixture
def given():
    """A context manager that lists how many image tokens each forward pass is given."""

    @contextlib.contextmanager
    def given(editor):
        counts = []

        def look(_module, _args, kwargs):
            counts.append(kwargs["hidden_states"].shape[1])

        handle = editor.pipe.transformer.register_forward_pre_hook(look, with_kwargs=True)
        try:
            yield counts
        finally:
            handle.remove()

    return given


@attrs.define(eq=False)
class Stored:
    """A plugin that stores the keys and values of slot 0 at every step, for itself."""

    kept: list = attrs.field(factory=list)

    @rh.hookimpl
    def refhooks_attention(self, ctx, branch, layout):
        own = layout.slots[0]
        shape = (ctx.blocks, 1, own.stop - own.start, 2, 16)
        buffers = rh.KeyValues(torch.zeros(shape), torch.zeros(shape))
        self.kept.append(buffers)
        return [rh.AttentionEdit(0, store=buffers)]


@pytest.fixture
def stored():
    """The plugin."""
    return Stored()
