"""A model that is offloaded takes a LoRA as any other."""

from __future__ import annotations

import hashlib

import accelerate
import tiny
import torch
from lora_models import LAYER, acts, change, lora, weight_of


def test_a_model_that_is_offloaded_by_groups_takes_one(editor, save):
    """The groups list the layers, so they are made anew."""
    path, _ = lora(editor, save, 1, "one")

    def latents():
        return editor.edit(tiny.picture(), "x", steps=2, cfg=1, seed=1).latents

    editor.add_lora(path, name="plain")
    expected = latents()
    editor.remove_lora("plain")
    editor.pipe.transformer.enable_group_offload(
        onload_device=torch.device("cpu"), offload_type="leaf_level"
    )
    name = editor.add_lora(path)
    assert torch.equal(expected, latents())
    editor.remove_lora(name)
    assert not torch.equal(expected, latents())


def test_a_model_whose_layers_are_offloaded_takes_one(editor, save, monkeypatch):
    """Weights are brought back, and offloaded again with what was added."""
    path, given = lora(editor, save, 1, "one")
    model, calls = editor.pipe.transformer, []
    before = weight_of(model.get_submodule(LAYER))[0]

    def offload(device):
        calls.append(device)
        accelerate.cpu_offload(model, execution_device=torch.device("cpu"))

    accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    editor.pipe._offload_device = torch.device("cpu")
    monkeypatch.setattr(editor.pipe, "enable_sequential_cpu_offload", offload)
    assert model.get_submodule(LAYER).weight.is_meta

    editor.add_lora(path, 0.5)

    assert [torch.device("cpu")] == calls
    assert model.get_submodule(LAYER).base_layer.weight.is_meta
    acts(editor, before, change(given, 0.5))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == editor.loras[0].sha256
