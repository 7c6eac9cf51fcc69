"""A plugin that is right, and one for each check that is wrong in that one way."""

from __future__ import annotations

import itertools
import random
from typing import ClassVar

import attrs
import torch

import refhooks as rh
from refhooks import hookimpl

CALLS = itertools.count()
LEFT_BEHIND = []  # handles of forward hooks, which a test removes


@attrs.frozen
class Good:
    """Fills the reference's slot with its latents times the strength, as ``default`` does.

    Attributes:
        gain: Above 0.
    """

    name: ClassVar[str] = "kit-method"
    gain: float = attrs.field(default=1.0)

    @gain.validator
    def _is_positive(self, _, value):
        if not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"gain must be a number above 0, got {value!r}")

    def bind(self, reference, run):
        return GoodBound(self, reference, run)


class GoodBound:
    def __init__(self, method, reference, run):
        self.gain, self.slot, self.run, self.latents = (
            method.gain, reference.index, run, reference.latents,
        )  # fmt: skip

    def strength(self, ctx):
        return self.gain * ctx.rows[self.slot].strength

    @hookimpl
    def refhooks_conditioning(self, ctx, inputs):
        return inputs.fill(self.slot, rh.Tokens(self.latents * self.strength(ctx)))


@attrs.frozen
class OnlyReal:
    """Takes 1.0 and not 1.

    Attributes:
        low: 0–2.
    """

    name: ClassVar[str] = "kit-schedule"
    low: float = attrs.field(default=0.5, validator=attrs.validators.instance_of(float))

    def strength(self, step):
        return self.low


class Plugin:
    """What a module of a plugin would be."""

    def __init__(self, **registered):
        for hook, entries in registered.items():
            setattr(self, f"refhooks_{hook}", hookimpl(_giving(entries)))


def _giving(entries):
    return lambda: entries() if callable(entries) else entries


def bound(**changes):
    """Return a plugin with a method that is good but for what its bound object has in place."""
    cls = type("Bound", (GoodBound,), changes)
    made = type("Method", (Good,), {"bind": lambda *given: cls(*given),  # noqa: PLW0108  a class would not be bound
                                    "__doc__": Good.__doc__})  # fmt: skip
    return Plugin(methods=[made])


def described(base=Good, **changes):
    """Return a plugin whose description has something else in place."""
    return Plugin(methods=[type("Method", (base,), {"__doc__": Good.__doc__, **changes})])


@attrs.define
class Settable:
    """It can be changed after it was made."""

    name: ClassVar[str] = "kit-method"
    gain: float = 1.0

    def bind(self, reference, run):
        return GoodBound(Good(), reference, run)


@attrs.frozen
class Undocumented(Good):
    """One option is not explained."""

    other: int = 0


@attrs.frozen
class NeedsOptions(Good):
    """Has an option without a default, and no examples."""

    other: int = attrs.field(kw_only=True)


def lookup(value):
    """Fail in a way that nothing catches."""
    return {0: 1}[value]


@attrs.frozen
class Speechless(Good):
    """Fails without a message.

    Attributes:
        gain: As before.
        other: Whatever is in a dict.
    """

    other: int = attrs.field(default=0, converter=lookup)


@attrs.frozen
class Vague(Good):
    """Does not say which option is meant.

    Attributes:
        gain: As before.
        other: A number.
    """

    other: float = attrs.field(default=0.0, converter=float)


@hookimpl
def in_double(_, ctx, inputs):
    """Leave the dtype of the run."""
    return inputs.fill(0, rh.Tokens(inputs.target.double()))


def value(base, **changes):
    """Return a frozen class with a name."""
    return attrs.frozen(type("Value", (), {"name": base, "__doc__": "One of the kit.", **changes}))


def family(load):
    """Return a plugin with a family that loads so."""
    return Plugin(families=[rh.FamilyEntry("kit-family", ("KitPipeline",), load)])


class Half(rh.Family):
    """Lacks most of what a family needs."""

    name = "kit-family"
    native = "default"


def hooks_of(**functions):
    """Return hooks for a class, each marked."""
    return {name: hookimpl(function) for name, function in functions.items()}


def filled(self, inputs, change):
    """Fill the slot with the reference's latents, changed."""
    return inputs.fill(self.slot, rh.Tokens(change(self.latents)))


def stash(self, *given):
    """Keep what belongs to a run on the class."""
    GoodBound.__init__(self, *given)
    type(self).shared = given[1].latents


def spoil_noise(self, *given):
    """Change the run's noise by the reference."""
    GoodBound.__init__(self, *given)
    self.run.noise.add_(self.latents.mean())


def leave_a_hook(self, ctx):
    """Put a forward hook on the model, to be taken off when all is well."""
    if ctx.step.index == 0:
        layer = self.run.model.layer("img_in")
        self.handle = layer.register_forward_hook(lambda *_: None)
        LEFT_BEHIND.append(self.handle)


def ascend(self, ctx, latents):
    """Follow a gradient."""
    with torch.enable_grad():
        moved = latents.detach().clone().requires_grad_()
        moved.square().sum().backward()
    return latents - 0.01 * moved.grad


def kept_by_strength(self, ctx, inputs):
    """Pass on a number of tokens that depends on the strength."""
    keep = torch.arange(max(1, int(8 * self.strength(ctx))))
    return inputs.fill(self.slot, rh.Tokens(self.latents, keep=keep))


def from_source(self, ctx, inputs):
    """Use the picture being edited instead of the reference."""
    return inputs.fill(self.slot, rh.Tokens(self.run.source.latents * self.strength(ctx)))


def quiet_text(self, ctx, inputs):
    """Change the prompt too."""
    text = attrs.evolve(inputs.text, embeds=inputs.text.embeds * 0.5)
    return attrs.evolve(filled(self, inputs, lambda latents: latents), text=text)


def keeping_base(self, *given):
    """Have buffers for the keys and values of text and target."""
    GoodBound.__init__(self, *given)
    run = self.run

    def kept(layout):
        length = layout.target.stop - layout.text.start
        shape = (run.blocks, run.noise.shape[0], length, run.heads, run.head_size)
        return rh.KeyValues(run.noise.new_empty(shape), run.noise.new_empty(shape))

    self.kept = kept


@attrs.frozen
class Shouting:
    """A run plugin that leaves the dtype."""

    name: ClassVar[str] = "kit-plugin"

    def bind_run(self, run):
        return type("Bound", (), hooks_of(refhooks_velocity=lambda self, velocity:
                                          velocity.double()))()  # fmt: skip


def conditioning(function):
    """Return a method that fills its slot like this."""
    return bound(**hooks_of(refhooks_conditioning=function))


def counting():
    """Return methods that depend on how often they were asked for."""
    gain = 1.0 + next(CALLS)
    return [type("Method", (Good,), {"__doc__": Good.__doc__, "bind": lambda self, *given:
                                     GoodBound(Good(gain), *given)})]  # fmt: skip


BROKEN = {
    "options": described(NeedsOptions),
    "signature": described(bind=lambda _self, reference: reference),
    "signature: settable": Plugin(methods=[Settable]),
    "documented": described(Undocumented, __doc__=Undocumented.__doc__),
    "documented: nothing": described(__doc__=None),
    "messages": described(Speechless, __doc__=Speechless.__doc__),
    "messages: vague": described(Vague, __doc__=Vague.__doc__),
    "whole-numbers": Plugin(schedules=[OnlyReal]),
    "steps": Plugin(schedules=[value("kit-schedule", strength=lambda _self, step: 3.0)]),
    "steps: random": Plugin(
        schedules=[value("kit-schedule", strength=lambda _self, step: random.random())]
    ),
    "steps: switch": Plugin(switches=[value("kit-switch", ended=lambda _self, step: None)]),
    "cover": Plugin(masks=[value("kit-mask", cover=lambda _self, size: torch.ones(2, 2))]),
    "cover: dtype": Plugin(masks=[value(
        "kit-mask", cover=lambda _self, size: torch.ones(size.height, size.width).double()
    )]),
    "cover: random": Plugin(masks=[value(
        "kit-mask", cover=lambda _self, size: torch.rand(size.height, size.width)
    )]),
    "adapter": family(lambda: int),
    "adapter: incomplete": family(lambda: Half),
    "edits": Plugin(models=[rh.EmbeddedModel("kit-model", "None.", lambda: 1 // 0)]),
    "hooks": described(bind=lambda _self, reference, run: object()),
    "hooks: shared": described(bind=lambda _self, reference, run: SHARED),
    "returns": conditioning(
        lambda self, inputs: filled(self, inputs, lambda latents: latents.double())
    ),
    "returns: plugin": Plugin(plugins=[Shouting]),
    "acts": conditioning(lambda self, inputs: None),
    "strength": conditioning(lambda self, inputs: filled(self, inputs, lambda latents: latents)),
    "strength-0": bound(__init__=spoil_noise),
    "bfloat16": conditioning(
        lambda self, inputs: filled(self, inputs, lambda latents: latents.float())
    ),
    "batch": bound(**hooks_of(refhooks_step=lambda self, latents: latents
                              + 0.1 * latents.mean(0, keepdim=True))),
    "cfg": bound(**hooks_of(refhooks_velocity=lambda self, predictions:
                            predictions["uncond"] * 0.5)),
    "references": conditioning(lambda self, inputs: inputs.fill(0, rh.Tokens(self.latents))),
    "references: source": conditioning(from_source),
    "masks": conditioning(from_source),
    "masks: text": conditioning(quiet_text),
    "masks: base": bound(**hooks_of(refhooks_attention=lambda self: [
        rh.AttentionEdit("base", weight=torch.tensor(0.5))])),
    "inside": bound(**hooks_of(refhooks_velocity=lambda self, velocity:
                               velocity / velocity.std(dim=(1, 2), keepdim=True))),
    "inside: predictions": bound(**hooks_of(
        refhooks_velocity=lambda self, velocity, predictions:
            velocity + 0.1 * predictions["cond"].mean(dim=1, keepdim=True))),
    "inside: base": bound(__init__=keeping_base, **hooks_of(
        refhooks_attention=lambda self, layout: [
            rh.AttentionEdit("base", store=self.kept(layout))])),
    "mutation": bound(**hooks_of(refhooks_step=lambda self, latents: latents.mul_(0.9))),
    "mutation: predictions": bound(**hooks_of(
        refhooks_velocity=lambda self, predictions: predictions["cond"].mul_(0.5) * 2.0)),
    "global-state": conditioning(lambda self, inputs: filled(
        self, inputs, lambda latents: latents + torch.randn(latents.shape))),
    "global-state: seeds": conditioning(lambda self, inputs: filled(
        self, inputs, lambda latents: latents + torch.manual_seed(0).initial_seed())),
    "global-state: schedule": Plugin(schedules=[value(
        "kit-schedule", strength=lambda _self, step: float(random.seed(0) is None))]),
    "deterministic": conditioning(lambda self, inputs: filled(
        self, inputs, lambda latents: latents * (1.0 + next(CALLS)))),
    "inference-mode": bound(**hooks_of(refhooks_step=ascend)),
    "install-order": Plugin(methods=counting),
    "two-editors": bound(__init__=stash, **hooks_of(
        refhooks_conditioning=lambda self, inputs:
            inputs.fill(self.slot, rh.Tokens(type(self).shared)))),
    "after-exception": bound(**hooks_of(
        refhooks_step=leave_a_hook,
        refhooks_image=lambda self: self.handle.remove())),
    "compiles": conditioning(kept_by_strength),
}  # fmt: skip
SHARED = type("Shared", (), hooks_of(refhooks_step=lambda self: None))()

SAID = {
    "options": "missing 1 required keyword-only argument: 'other'",
    "signature": "bind must be callable as bind(reference, run)",
    "signature: settable": "gain can be set",
    "documented": "does not explain gain, other",
    "documented: nothing": "Method has no docstring",
    "messages": "raises KeyError; raise ValueError or TypeError",
    "messages: vague": "does not name the option",
    "whole-numbers": "low=0 is not what low=0.0 is",
    "steps": "'kit-schedule' at step 1 of 1: strength must be",
    "steps: random": "planned differently each time",
    "steps: switch": "must say True or False",
    "cover": "must return [48,64], got [2, 2]",
    "cover: dtype": "float32 on the CPU, got torch.float64",
    "cover: random": "covers a picture of 64x48 differently",
    "adapter": "a subclass of refhooks.Family",
    "adapter: incomplete": "Half lacks",
    "edits": "ZeroDivisionError",
    "hooks": "object has no run hook",
    "hooks: shared": "bind returns the same object twice",
    "returns": "refhooks_conditioning, step 1 of 2: slot 0.latents must keep the dtype",
    "returns: plugin": "plugin kit-plugin of the call, refhooks_velocity, step 1 of 2",
    "acts": "must return what it changed, as in `return inputs.fill(slot, tokens)`",
    "strength": "the model predicts the reference; use ctx.rows[",
    "strength-0": "at a step of strength 0 it matters which picture is given",
    "bfloat16": "must keep the dtype torch.bfloat16",
    "batch": "in a batch of 3 the first picture",
    "cfg": "KeyError: 'uncond'",
    "references": "kit-method (reference 2, stage 1)",
    "references: source": "its own picture makes no difference",
    "masks": "the part of the picture that a content mask hides",
    "masks: text": "changes text, which no mask can confine",
    "masks: base": "edits the group 'base'",
    "inside": "depend on the velocity outside, which is not computed; use each token's own",
    "inside: predictions": "set needs_whole_target = True on the class",
    "inside: base": "refhooks_attention, step 1 of 2: store.keys must be [blocks,B,R,H,D]",
    "mutation": "refhooks_step changes",
    "mutation: predictions": "predictions['cond'] in place",
    "global-state": "torch's global random numbers",
    "global-state: seeds": "torch's global random numbers",
    "global-state: schedule": "Python's global random numbers",
    "deterministic": "the same call gives other latents",
    "inference-mode": "does not require grad",
    "install-order": "the order of installation",
    "two-editors": "a second editor",
    "after-exception": "a hook on transformer.img_in",
    "compiles": "another strength compiles the blocks again",
}
