"""Models of three families, one of them a stranger's, and what their layers act with."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import tiny
import torch
from lora_layouts import LAYOUTS, RANK

import refhooks as rh

LAYER = "transformer_blocks.0.attn.to_q"


def stranger():
    """The family that `refhooks new` writes, which no list of ours knows."""
    place = Path(__file__).parents[1] / "testing" / "families.py"
    spec = importlib.util.spec_from_file_location("kit_families", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return rh.Editor(module.tiny(), plugins=[module.adapter()])


def build(family):
    """Return an editor of its own."""
    if family == "stranger":
        return stranger()
    if family == "qwen-image-21":
        from refhooks_qwen21._tiny import tiny_pipeline

        return rh.Editor(tiny_pipeline())
    area = 32 * 32
    sizes = rh.Checkpoint(output=area, reference=area, vision=area)
    return rh.Editor(tiny.build("plus", "middle"), checkpoint=sizes)


def linear_layers(model):
    """Return the linear layers of a model by name, whatever wraps them."""
    return {
        name.removesuffix(".base_layer"): layer
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and ".lora_" not in name
    }


def factors(model, seed=1, rank=RANK):
    """Return random factors for every linear layer."""
    draw = torch.Generator().manual_seed(seed)
    return {
        name: (
            torch.randn(rank, layer.in_features, generator=draw),
            torch.randn(layer.out_features, rank, generator=draw),
        )
        for name, layer in linear_layers(model).items()
    }


def weight_of(layer):
    """Return the weight that a layer acts with, whatever it is made of, and its bias."""
    base = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
    with torch.no_grad():
        bias = layer(torch.zeros(1, base.in_features))
        return (layer(torch.eye(base.in_features)) - bias).T, bias[0]


def weights(model, names):
    """Return the weights that layers act with."""
    return {name: weight_of(model.get_submodule(name))[0] for name in names}


def as_it_is(model):
    """Return all that a model is made of: modules, parameters to the bit, what learns, configs."""
    told = [(name, type(part).__name__) for name, part in model.named_modules()]
    for name, value in model.named_parameters():
        data = value.detach().contiguous().view(torch.uint8).numpy().tobytes()
        told.append((name, hashlib.sha256(data).hexdigest(), value.requires_grad))
    return [*told, sorted(getattr(model, "peft_config", {}))]


def lora(editor, save, seed, name, layers=(LAYER,), layout="bare"):
    """Write a LoRA; return its path and factors."""
    whole = factors(editor.family.transformer, seed=seed)
    factored = {layer: whole[layer] for layer in layers}
    return save(LAYOUTS[layout].write(factored), f"{name}.safetensors"), factored


def change(factored, scale):
    """Return what a LoRA adds to the layer."""
    down, up = factored[LAYER]
    return scale * up @ down


def acts(editor, before, *changes):
    """Check the weight of the layer."""
    now = weight_of(editor.family.transformer.get_submodule(LAYER))[0]
    torch.testing.assert_close(now, before + sum(changes), atol=1e-4, rtol=1e-4)
