"""A small Qwen-Image 2.1, the stock pipeline and edits on it, and pictures."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

import refhooks as rh
from refhooks import testing
from refhooks_qwen21._tiny import tiny_pipeline

SIDE = 64
SIZES = [(64, 48), (48, 64), (80, 40), (33, 97)]


class Small:
    """A tiny pipeline and an editor on it."""

    def __init__(self, **options):
        self.pipe = tiny_pipeline(**options)
        with torch.no_grad():  # random weights of the usual size hardly look at anything
            for weight in self.pipe.transformer.parameters():
                weight.mul_(1.6)
        self.editor = rh.Editor(self.pipe, checkpoint=rh.Checkpoint(reference=SIDE**2))

    def stock(self, pictures, prompt="make it blue", *, seeds=(1,), cfg=1.0, **options):
        """Run the stock pipeline; return latents and pictures."""
        call = {
            "height": SIDE, "width": SIDE, "num_inference_steps": 3, "output_resolution": SIDE,
            "negative_prompt": "red" if cfg > 1 else None, "num_images_per_prompt": len(seeds),
            **options,
        }  # fmt: skip
        seen = {}
        images = self.pipe(
            prompt, image=pictures or None, true_cfg_scale=cfg, **call,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            callback_on_step_end=lambda _pipe, _step, _t, tensors: seen.update(tensors) or tensors,
        ).images  # fmt: skip
        return seen["latents"], images

    def edit(self, pictures, prompt="make it blue", *, strategy=None, cfg=1.0, **options):
        """Edit the first picture, with the others beside it."""
        call = {"height": SIDE, "width": SIDE, "steps": 3, "seed": 1, **options}
        if cfg is not None and cfg > 1:
            call["negative_prompt"] = "red"
        first = rh.Reference(pictures[0], strategy) if pictures else None
        others = call.pop("references", pictures[1:])
        return self.editor.edit(first, prompt, references=others, cfg=cfg, **call)


def rgb(count):
    """Pictures of several sizes."""
    return [testing.picture(n, SIZES[n % 4]) for n in range(count)]


def rgba(count):
    """The same sizes, every pixel more or less transparent."""
    return [
        Image.fromarray(
            np.random.default_rng(n).integers(
                0, 256, (SIZES[n % 4][1], SIZES[n % 4][0], 4), np.uint8
            )
        )
        for n in range(count)
    ]
