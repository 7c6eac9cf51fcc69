"""The family that `refhooks new` writes, and one for each check that is wrong in that one way."""

from __future__ import annotations

import sys
import types
from importlib import resources
from string import Template

import torch

import refhooks as rh

NAMES = {"name": "kit-family", "module": "kit_family", "cls": "Klein", "run": "KleinRun"}
HOOKS = []  # forward hooks that a broken family leaves on the model, which a test removes


def module(name, template):
    """Return a template of `refhooks new` as a module."""
    text = (resources.files("refhooks.cli.scaffold") / f"{template}.txt").read_text()
    made = sys.modules[name] = types.ModuleType(name)
    exec(compile(Template(text).substitute(NAMES), f"{template}.txt", "exec"), vars(made))
    return made


module("kit_family_tiny", "family-tiny")
klein = module("kit_family", "family")
tiny = sys.modules["kit_family_tiny"].tiny_pipeline


def adapter(run=None, **changes):
    """Return a plugin with the adapter, but for what it and its runs have in place."""
    run_class = type("Run", (klein.KleinRun,), run or {})
    cls = type("Klein", (klein.Klein,), {"run": run_class, **changes})
    entry = rh.FamilyEntry("kit-family", ("KleinPipeline",), lambda: cls, tiny=tiny)
    return types.SimpleNamespace(refhooks_families=rh.hookimpl(lambda: [entry]))


def whole_sequence(self, ctx, branch, inputs, edits):
    """Forget to cut the references off."""
    velocity = klein.KleinRun.predict(self, ctx, branch, inputs, edits)
    return torch.cat([velocity, velocity], dim=1)


def without_text(self, inputs):
    """Begin with the target."""
    held = klein.KleinRun.layout(self, inputs)
    return rh.Layout(held.target, held.text, held.slots, held.length + 1)


def one_noise(self, *given, **options):
    """Draw the batch from the first seed."""
    klein.KleinRun.__init__(self, *given, **options)
    generator = torch.Generator().manual_seed(options["seeds"][0])
    self.noise = torch.randn(self.noise.shape, generator=generator)


def global_noise(self, *given, **options):
    """Draw from everybody's random numbers."""
    klein.KleinRun.__init__(self, *given, **options)
    self.noise = torch.randn(self.noise.shape)


def averaged(self, predictions):
    """Mix the pictures of a batch."""
    return predictions["cond"].mean(0, keepdim=True).expand_as(predictions["cond"])


def blind(self, ctx, branch, inputs, edits):
    """Leave the reference out."""
    return klein.KleinRun.predict(self, ctx, branch, inputs.fill(0, None), edits)


def peek(self, picture, height, width, resolution):
    """Look at the picture where only its shape counts."""
    self.seen = float(picture.getpixel((0, 0))[0])
    return klein.Klein.output_size(self, picture, height, width, resolution)


def with_peeked(self, **options):
    """Let what was seen in."""
    run = klein.Klein.open(self, **options)
    run.noise = run.noise + getattr(self, "seen", 0.0)
    return run


def hooked(self, *given, **options):
    """Put a hook on the model, to be taken off when all is well."""
    klein.KleinRun.__init__(self, *given, **options)
    HOOKS.append(self.pipe.transformer.x_embedder.register_forward_hook(lambda *_: None))


def unhooked(self, latents, size):
    """Take it off too early to be sure of it."""
    while HOOKS:
        HOOKS.pop().remove()
    return klein.Klein.decode(self, latents, size)


FAMILIES = {
    "family-shapes": adapter({"predict": whole_sequence}),
    "family-shapes: layout": adapter({"layout": without_text}),
    "family-shapes: noise": adapter({"__init__": one_noise}),
    "family-shapes: tiny": types.SimpleNamespace(refhooks_families=rh.hookimpl(
        lambda: [rh.FamilyEntry("kit-family", ("KleinPipeline",), lambda: klein.Klein)])),
    "family-strength-0": adapter(output_size=peek, open=with_peeked),
    "family-strength-0: blind": adapter({"predict": blind}),
    "family-batch": adapter({"guide": averaged}),
    "family-batch: global": adapter({"__init__": global_noise}),
    "family-after-exception": adapter({"__init__": hooked}, decode=unhooked),
}  # fmt: skip
SAID_OF_FAMILIES = {
    "family-shapes": "predict() of cond: must be (2, 64, 16), got (2, 128, 16)",
    "family-shapes: layout": "layout, tokens of each part: must be",
    "family-shapes: noise": "the noise of a seed depends on the others of the batch",
    "family-shapes: tiny": "give FamilyEntry(tiny=...)",
    "family-strength-0": "at strength 0 it matters which picture is given",
    "family-strength-0: blind": "gives the latents of strength 0, to the bit",
    "family-batch": "in a batch of 3 the first picture comes out differently",
    "family-batch: global": "torch's global random numbers",
    "family-after-exception": "a hook on transformer.x_embedder",
}
