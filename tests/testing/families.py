"""The family that `refhooks new` writes, and one for each check that is wrong in that one way."""

from __future__ import annotations

import sys
import types
from importlib import resources
from string import Template

import torch

import refhooks as rh

NAMES = {"name": "kit-family", "module": "kit_family", "cls": "Kontext", "run": "KontextRun"}
HOOKS = []  # forward hooks that a broken family leaves on the model, which a test removes


def module(name, template):
    """Return a template of `refhooks new` as a module."""
    text = (resources.files("refhooks.cli.scaffold") / f"{template}.txt").read_text()
    made = sys.modules[name] = types.ModuleType(name)
    exec(compile(Template(text).substitute(NAMES), f"{template}.txt", "exec"), vars(made))
    return made


module("kit_family_tiny", "family-tiny")
kontext = module("kit_family", "family")


def adapter(run=None, **changes):
    """Return a plugin with the adapter, but for what it and its runs have in place."""
    run_class = type("Run", (kontext.KontextRun,), run or {})

    def opened(self, *, prompts, guidance, seeds, size, references, shown):
        return run_class(self, prompts, guidance, seeds, size, references)

    cls = type("Kontext", (kontext.Kontext,), {"open": opened, **changes})
    entry = rh.FamilyEntry("kit-family", ("FluxKontextPipeline",), lambda: cls, tiny=kontext.tiny)
    return types.SimpleNamespace(refhooks_families=rh.hookimpl(lambda: [entry]))


def whole_sequence(self, ctx, branch, inputs, edits):
    """Forget to cut the references off."""
    velocity = kontext.KontextRun.predict(self, ctx, branch, inputs, edits)
    return torch.cat([velocity, velocity], dim=1)


def without_text(self, inputs):
    """Begin with the target."""
    held = kontext.KontextRun.layout(self, inputs)
    return rh.Layout(held.target, held.text, held.slots, held.length + 1)


def one_noise(self, *given):
    """Draw the batch from the first seed."""
    kontext.KontextRun.__init__(self, *given)
    generator = torch.Generator().manual_seed(given[3][0])
    self.noise = torch.randn(self.noise.shape, generator=generator)


def global_noise(self, *given):
    """Draw from everybody's random numbers."""
    kontext.KontextRun.__init__(self, *given)
    self.noise = torch.randn(self.noise.shape)


def averaged(self, predictions):
    """Mix the pictures of a batch."""
    return predictions["cond"].mean(0, keepdim=True).expand_as(predictions["cond"])


def blind(self, ctx, branch, inputs, edits):
    """Leave the reference out."""
    return kontext.KontextRun.predict(self, ctx, branch, inputs.fill(0, None), edits)


def peek(self, picture, height, width, resolution):
    """Look at the picture where only its shape counts."""
    self.seen = float(picture.getpixel((0, 0))[0])
    return kontext.Kontext.output_size(self, picture, height, width, resolution)


def with_peeked(self, **options):
    """Let what was seen in."""
    run = kontext.Kontext.open(self, **options)
    run.noise = run.noise + getattr(self, "seen", 0.0)
    return run


def hooked(self, *given):
    """Put a hook on the model, to be taken off when all is well."""
    kontext.KontextRun.__init__(self, *given)
    HOOKS.append(self.pipe.transformer.x_embedder.register_forward_hook(lambda *_: None))


def unhooked(self, latents, size):
    """Take it off too early to be sure of it."""
    while HOOKS:
        HOOKS.pop().remove()
    return kontext.Kontext.decode(self, latents, size)


FAMILIES = {
    "family-shapes": adapter({"predict": whole_sequence}),
    "family-shapes: layout": adapter({"layout": without_text}),
    "family-shapes: noise": adapter({"__init__": one_noise}),
    "family-shapes: tiny": types.SimpleNamespace(refhooks_families=rh.hookimpl(
        lambda: [rh.FamilyEntry("kit-family", ("FluxKontextPipeline",), lambda: kontext.Kontext)])),
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
