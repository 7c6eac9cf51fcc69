"""What the tests of concat build: projection files, LoRA, and models widened by hand."""

from __future__ import annotations

import json

import tiny
import torch

import refhooks as rh

AREA = 32 * 32
SIZES = {"output": AREA, "reference": AREA, "vision": AREA}
WIDTH, CHANNELS = 32, 16
HEADER = {
    "family": "qwen-image-edit-plus",
    "base": "tiny",
    "projection": json.dumps({"shape": [WIDTH, CHANNELS], "channels": "packed latents"}),
}
TO_Q = "transformer_blocks.0.attn.to_q"
STRENGTHS = (0.6, 1.3, 0.9)


def random(*shape, seed=0, scale=0.3):
    """Return random numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale


def lora(rank=4, layer=TO_Q, sizes=(WIDTH, WIDTH), **other):
    """Return the tensors of a LoRA on one layer, in the format of diffusers."""
    return {
        f"transformer.{layer}.lora_A.weight": random(rank, sizes[0], seed=1),
        f"transformer.{layer}.lora_B.weight": random(sizes[1], rank, seed=2),
        **other,
    }


class Silent:
    """Gives the model nothing of a reference but what the text encoder sees; keeps it at hand."""

    name = "silent"
    gives_tokens = False

    def __init__(self):
        self.fitted = {}

    def bind(self, reference, run):
        """Keep the reference's latents on the target's grid."""
        self.fitted[reference.index] = reference.fitted("cover")
        return self._Bound()

    class _Bound:
        @rh.hookimpl
        def refhooks_conditioning(self):
            return None


class Widened(torch.nn.Module):
    """``[W P P …]`` on ``cat([x, s·r, …], channels)``: one wide linear layer."""

    def __init__(self, layer, projection, references):
        super().__init__()
        self.wide = torch.nn.Linear(CHANNELS * (1 + len(references)), WIDTH).to(layer.weight)
        with torch.no_grad():
            parts = [layer.weight, *[projection] * len(references)]
            self.wide.weight.copy_(torch.cat(parts, dim=1))
            self.wide.bias.copy_(layer.bias)
        self.references = references

    def forward(self, x):
        """Join the channels."""
        others = [entry.expand(len(x), -1, -1) for entry in self.references]
        return self.wide(torch.cat([x, *others], dim=-1))


def with_strategies(strategies):
    """Return the arguments for as many references as there are strategies."""
    pictures = [tiny.picture(number, (40, 64)) for number in range(len(strategies))]
    pairs = zip(pictures[1:], strategies[1:], strict=True)
    others = [rh.Reference(picture, strategy) for picture, strategy in pairs]
    return pictures[0], {"strategy": strategies[0], "references": others}


def widened(editor, projection, count, **kwargs):
    """Return the latents of an edit by a model whose input projection is really wider."""
    silent = Silent()
    picture, steering = with_strategies([rh.Stage(silent)] * count)
    arguments = {"steps": 3, "seed": 1, "cfg": 2.0, **steering, **kwargs}
    editor.edit(picture, "make it blue", **arguments)
    transformer = editor.pipe.transformer
    layer = transformer.img_in
    references = [strength * silent.fitted[slot] for slot, strength in enumerate(STRENGTHS[:count])]
    transformer.img_in = Widened(layer, projection, references)
    try:
        return editor.edit(picture, "make it blue", **arguments).latents
    finally:
        transformer.img_in = layer
