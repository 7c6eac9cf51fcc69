"""Small FLUX.2 pipelines, the stock ones and edits on them, and pictures."""

from __future__ import annotations

import torch

import refhooks as rh
from refhooks import testing
from refhooks_flux2 import _tiny

SIDE = 64
SIZES = [(96, 64), (70, 81), (64, 112), (200, 65)]


class Small:
    """A tiny pipeline and an editor on it."""

    def __init__(self, make, **options):
        self.pipe = make(**options)
        with torch.no_grad():  # random weights of the usual size hardly look at anything
            for weight in self.pipe.transformer.parameters():
                weight.mul_(1.6)
        self.editor = rh.Editor(self.pipe)

    def stock(self, pictures, prompt="make it blue", *, seeds=(1,), **options):
        """Run the stock pipeline; return latents, packed, and pictures."""
        call = {
            "height": SIDE, "width": SIDE, "num_inference_steps": 3,
            "num_images_per_prompt": len(seeds), **options,
        }  # fmt: skip
        seen = {}
        images = self.pipe(
            image=pictures or None, prompt=prompt, **call,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            callback_on_step_end=lambda _pipe, _step, _t, tensors: seen.update(tensors) or tensors,
        ).images  # fmt: skip
        return seen["latents"], images

    def edit(self, pictures, prompt="make it blue", *, strategy=None, **options):
        """Edit the first picture, with the others beside it."""
        call = {"height": SIDE, "width": SIDE, "steps": 3, "seed": 1, **options}
        first = rh.Reference(pictures[0], strategy) if pictures else None
        others = call.pop("references", pictures[1:])
        return self.editor.edit(first, prompt, references=others, **call)


def rgb(count):
    """Pictures of several sizes, which stock cuts at the centre."""
    return [testing.picture(n, SIZES[n % 4]) for n in range(count)]


def klein(**options):
    """A base klein, which is guided with a second pass."""
    return Small(_tiny.tiny_klein, **options)


def distilled(**options):
    """A distilled klein."""
    return Small(_tiny.tiny_klein, distilled=True, **options)


def kept(**options):
    """A klein that keeps the keys and values of its references."""
    return Small(_tiny.tiny_kv, **options)


def dev(**options):
    """A dev."""
    return Small(_tiny.tiny_dev, **options)


KINDS = {"klein": klein, "distilled": distilled, "kv": kept, "dev": dev}
