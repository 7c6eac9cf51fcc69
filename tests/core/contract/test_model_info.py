"""What a method is told of the model, and what a family cannot use."""

from __future__ import annotations

import attrs
import pytest
import torch
from plugs import plugin

import refhooks as rh

LAYER = "transformer_blocks.0.attn.to_q"


@pytest.mark.parametrize("compiled", ["transformer_blocks.0", LAYER])
def test_no_layer_of_what_is_compiled_is_given(editor, pipe, compiled):
    """The layer itself, or what it is part of: a hook on it would not be seen."""
    assert editor.model.layer(LAYER).in_features == editor.model.layer(LAYER).out_features
    module = pipe.transformer.get_submodule(compiled)
    module.compile(backend="eager")
    try:
        with pytest.raises(rh.InputError, match=f"'{LAYER}' is compiled, so nothing can be added"):
            editor.model.layer(LAYER)
    finally:
        module._compiled_call_impl = None


def test_a_family_without_an_input_projection_cannot_use_what_is_added(edit, editor, monkeypatch):
    """Said of the plugin that adds, where it would be lost without a word."""
    monkeypatch.setattr(type(editor.family), "input_projection", None)
    adding = plugin(
        refhooks_conditioning=lambda inputs: attrs.evolve(
            inputs, added=torch.zeros(1, inputs.target.shape[1], 32)
        )
    )

    with pytest.raises(rh.HookReturnError, match="family cannot use added; leave it as it is"):
        edit(plugins=[adding])
