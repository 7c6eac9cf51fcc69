"""Small FLUX.3 pipelines of modular blocks, the blocks and edits on them, and pictures."""

from __future__ import annotations

import torch

import refhooks as rh
from refhooks import testing
from refhooks_flux3._tiny import tiny_modular

SIDE = 64
SIZES = [(96, 64), (70, 81), (64, 112), (200, 65)]


class Small:
    """A tiny modular pipeline and an editor on it."""

    def __init__(self, **options):
        self.modular = tiny_modular(**options)
        with torch.no_grad():  # random weights of the usual size hardly look at anything
            for weight in self.modular.transformer.parameters():
                weight.mul_(1.6)
        self.editor = rh.Editor(self.modular)
        self.pipe = self.editor.pipe
        self.pipe.set_progress_bar_config(disable=True)
        self.negative = {"negative_prompt": ""} if not options.get("distilled") else {}

    def stock(self, pictures, prompt="make it blue", *, seeds=(1,), **options):
        """Run the blocks; return latents, packed, and pictures."""
        call = {
            "height": SIDE, "width": SIDE, "num_inference_steps": 3,
            "num_images_per_prompt": len(seeds), **options,
        }  # fmt: skip
        if pictures:
            call["image"] = list(pictures)
        made = self.modular(
            prompt=prompt, **call, output=["latents", "images"],
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        )  # fmt: skip
        return made["latents"].flatten(2).transpose(1, 2), made["images"]

    def edit(self, pictures, prompt="make it blue", *, strategy=None, **options):
        """Edit the first picture, with the others beside it."""
        call = {
            "height": SIDE, "width": SIDE, "steps": 3, "seed": 1, **self.negative, **options
        }  # fmt: skip
        first = rh.Reference(pictures[0], strategy) if pictures else None
        others = call.pop("references", pictures[1:])
        return self.editor.edit(first, prompt, references=others, **call)


def rgb(count):
    """Pictures of several sizes, which are filled up where one is alone, else cut."""
    return [testing.picture(n, SIZES[n % 4]) for n in range(count)]


KINDS = {"base": {}, "distilled": {"distilled": True}}
