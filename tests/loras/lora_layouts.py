"""How trainers and programs write a LoRA: what the tests load, and the page lists."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

RANK, ALPHA = 4, 2.0


def flat(name):
    """Return a layer's name as kohya's scripts write it."""
    return name.replace(".", "_")


@attrs.frozen
class Layout:
    """One way to write a LoRA.

    Attributes:
        by: Who writes it.
        down: Key of the first factor of a layer.
        up: Of the second one.
        alpha: Of its alpha; empty where files have none.
        scaled: What alpha over rank the tests expect, at rank 4 and an alpha of 2.
        notes: What the header says.
    """

    by: str
    down: Callable[[str], str]
    up: Callable[[str], str]
    alpha: Callable[[str], str] | None = None
    scaled: float = 1.0
    notes: dict[str, str] = attrs.Factory(dict)

    def write(self, factors):
        """Return the tensors of a file, from the factors by layer."""
        tensors = {}
        for name, (down, up) in factors.items():
            tensors[self.down(name)], tensors[self.up(name)] = down, up
            if self.alpha is not None:
                tensors[self.alpha(name)] = torch.tensor(ALPHA)
        return tensors


def named(prefix, first, second, by, *, alpha=False, writing=str, **options):
    """Return a layout that puts a prefix before a layer's name, and the factors' names behind."""
    return Layout(
        by=by,
        down=lambda name: f"{prefix}{writing(name)}{first}",
        up=lambda name: f"{prefix}{writing(name)}{second}",
        alpha=(lambda name: f"{prefix}{writing(name)}.alpha") if alpha else None,
        scaled=ALPHA / RANK if alpha else options.pop("scaled", 1.0),
        **options,
    )


AB = (".lora_A.weight", ".lora_B.weight")
DOWN_UP = (".lora_down.weight", ".lora_up.weight")
METADATA = {
    "lora_adapter_metadata": json.dumps(
        {"transformer.r": RANK, "transformer.lora_alpha": ALPHA, "transformer.use_rslora": False}
    )
}
LAYOUTS = {
    "bare": named("", *AB, "DiffSynth-Studio's exports, fal"),
    "diffusers": named("transformer.", *AB, "diffusers' training scripts, SimpleTuner"),
    "diffusers with metadata": named(
        "transformer.", *AB, "`save_lora_weights(transformer_lora_adapter_metadata=…)`",
        scaled=ALPHA / RANK, notes=METADATA,
    ),
    "peft": named("base_model.model.", *AB, "peft's `save_pretrained`; with its adapter_config"),
    "DiffSynth": named(
        "", ".lora_A.default.weight", ".lora_B.default.weight", "DiffSynth-Studio's training"
    ),
    "Lightning": named("", *DOWN_UP, "lightx2v (Qwen-Image-Lightning)", alpha=True),
    "OneTrainer": named("transformer.", *DOWN_UP, "OneTrainer", alpha=True),
    "OneTrainer, older": named(
        "lora_transformer_", *DOWN_UP, "OneTrainer's legacy format", alpha=True, writing=flat
    ),
    "kohya": named(
        "lora_unet_", *DOWN_UP, "kohya's sd-scripts, musubi-tuner", alpha=True, writing=flat
    ),
    "ComfyUI": named("diffusion_model.", *AB, "ai-toolkit, ComfyUI"),
    "ComfyUI, whole model": named(
        "model.diffusion_model.", *DOWN_UP, "ComfyUI's nodes that save", alpha=True
    ),
    "LyCORIS": named("lycoris_", *DOWN_UP, "LyCORIS' wrapper", alpha=True, writing=flat),
    "older diffusers": named(
        "transformer.", ".lora.down.weight", ".lora.up.weight", "diffusers' older scripts"
    ),
    "compiled": named("_orig_mod.", *AB, "scripts that saved a compiled model"),
    "unheard of": named(
        "my_trainer.net.", *DOWN_UP, "any other prefix that all keys share", alpha=True
    ),
}  # fmt: skip
