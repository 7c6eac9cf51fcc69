"""Two references, each with its own method: every pair does what the two do alone, together."""

from __future__ import annotations

import itertools

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks import hookimpl

pytestmark = pytest.mark.long

METHODS = {
    "default": rh.Stage("default", 0.3),
    "guidance": rh.Stage("guidance", 0.3),
    "cross_attn": rh.Stage("cross_attn", 0.3),
    "concat": rh.Stage(rh.method("concat", tied=True), 0.3),
    "inject add input": rh.Stage(rh.method("inject"), 0.3),
    "inject add latents": rh.Stage(rh.method("inject", where="latents"), 0.3),
    "inject pull": rh.Stage(rh.method("inject", formula="pull"), 0.3),
    "inject blend input": rh.Stage(rh.method("inject", formula="blend"), 0.3),
}
SIGMA = 0.02  # of the last of two steps, which is all that runs
BLENDED = 0.3 * (1 - SIGMA)
PAIRS = list(itertools.product(METHODS, repeat=2))


@attrs.define(eq=False)
class Seen:
    """What the model is given in the first step's ``cond`` pass, and the velocity it ends with."""

    inputs: rh.Inputs | None = None
    groups: tuple[int, ...] = ()
    branches: frozenset[str] = frozenset()
    change: torch.Tensor | None = None

    @hookimpl(trylast=True)
    def refhooks_branches(self, branches):
        self.branches = self.branches or frozenset(branch.name for branch in branches)

    @hookimpl(trylast=True)
    def refhooks_conditioning(self, branch, inputs):
        if self.inputs is None and branch.name == "cond":
            self.inputs = inputs

    @hookimpl(trylast=True)
    def refhooks_velocity(self, predictions, velocity):
        if self.change is None:
            self.change = velocity - predictions["cond"]


@pytest.fixture(scope="module")
def seen(edit):
    """What the first step sees for the methods of two references; each run is done once."""
    runs = {}

    def seen(first, second):
        if (first, second) not in runs:
            look = Seen()
            edit(
                strategy=_of(first), references=[rh.Reference(tiny.picture(1), _of(second))],
                plugins=[look], denoise=0.5, steps=1, cfg=1.0,
            )  # fmt: skip
            runs[first, second] = look
        return runs[first, second]

    return seen


def _of(name):
    return rh.Stage("default", 0.0) if name is None else METHODS[name]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_methods_do_together_what_they_do_alone(seen, first, second):
    """Changes of the target add up, so does what joins, and each slot holds its own reference."""
    none, both = seen(None, None), seen(first, second)
    alone = seen(first, None), seen(None, second)

    base = none.inputs.target
    first_change, second_change = [each.inputs.target - base for each in alone]
    if "blend" in second and "latents" in first:  # a blend mixes what is there already
        first_change = first_change * (1 - BLENDED)
    if "blend" in first and "latents" in second:
        second_change = second_change * (1 - BLENDED)
    changes = first_change + second_change
    torch.testing.assert_close(both.inputs.target - base, changes, rtol=0, atol=1e-5)
    for slot, each in enumerate(alone):
        own, held = each.inputs.slots[slot], both.inputs.slots[slot]
        assert (own is None) == (held is None)
        assert own is None or torch.equal(own.latents, held.latents)
    joined = [each.inputs.added for each in alone if each.inputs.added is not None]
    assert (both.inputs.added is None) == (not joined)
    if joined:
        torch.testing.assert_close(both.inputs.added, sum(joined), rtol=0, atol=1e-5)
    assert both.branches == alone[0].branches | alone[1].branches


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_each_of_two_methods_acts(edit, first, second):
    """Neither reference is lost beside the other: another picture in its place shows."""

    def run(one, other):
        references = [rh.Reference(tiny.picture(other), METHODS[second])]
        strategy = rh.Strategy(METHODS[first], vision="never")
        return edit(tiny.picture(one), strategy=strategy, references=references, steps=2, cfg=1.0)

    latents = run(0, 1).latents

    assert torch.equal(latents, run(0, 1).latents)
    assert not torch.equal(latents, run(2, 1).latents)
    assert not torch.equal(latents, run(0, 3).latents)
