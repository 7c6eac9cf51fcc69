"""Checks of what a method or a run plugin does in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks._core.contract.values import BASE
from refhooks._core.masks.mask import Mask
from refhooks.testing._bench import STRENGTH, LeftHalf, left_alike
from refhooks.testing._report import CheckFailed
from refhooks.testing._watch import Spy, Untouched, same, spied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from refhooks.testing._bench import Bench

CLOSE = 1e-4
"""How far apart two batches of one picture may be: kernels differ by the size of a batch."""


def equal(one: Tensor, other: Tensor, what: str) -> None:
    """Compare to the bit.

    Raises:
        CheckFailed: They differ; ``what`` says what should not.
    """
    if not same(one, other):
        far = (one.float() - other.float()).abs().max().item() if one.shape == other.shape else 0
        raise CheckFailed(f"{what}; latents differ by up to {far:.2g}")


def acts(bench: Bench) -> None:
    """Its reference makes a difference at all."""
    if _alike(bench, {"strength": 0.0, "vision": "never"}, {"vision": "never"}):
        raise CheckFailed(
            f"strength {STRENGTH} gives the latents of strength 0, to the bit, also where the model"
            " predicts the reference: no hook changes anything; one that does must return what it"
            " changed, as in `return inputs.fill(slot, tokens)` (without return it gives None,"
            " which means unchanged)"
        )


def strength(bench: Bench) -> None:
    """Another strength above 0 gives another picture."""
    half = STRENGTH / 2
    if _alike(bench, {}, {"strength": half}):
        raise CheckFailed(
            f"strength {half} gives the latents of strength {STRENGTH}, to the bit, also where the"
            " model predicts the reference; use ctx.rows[reference.index].strength in a hook, or"
            " give the reason why the method only knows on and off:"
            " expected_failures={'strength': ...}"
        )


def _alike(bench: Bench, one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two edits give the same, also where the model predicts something near the source."""
    return all(
        same(bench.edit(near=near, **one).latents, bench.edit(near=near, **other).latents)
        for near in (False, True)
    )


def strength_0(bench: Bench) -> None:
    """At strength 0 the reference is ignored, bit for bit: in a whole run, and in a part of one."""
    whole = [bench.edit(pictures=[seed], strength=0.0).latents for seed in (0, 1)]
    equal(whole[0], whole[1], "at strength 0 it matters which picture is given")

    def first_step(seed: int) -> list[Tensor]:
        seen: list[Tensor] = []
        bench.edit(
            pictures=[seed],
            strength=[0.0, STRENGTH],
            vision="never",
            callback=lambda step, x, x0: seen.extend([x, x0] if step == 0 else []),
        )
        return seen

    for one, other in zip(first_step(0), first_step(1), strict=True):
        equal(one, other, "at a step of strength 0 it matters which picture is given")


def returns(bench: Bench) -> None:
    """Everything it returns has the shape, dtype and device asked for, and is finite."""
    bench.edit(check="eager")


def bfloat16(bench: Bench) -> None:
    """It works in half precision, and does not leave it."""
    _finite(bench.edit(editor=bench.editor(dtype=torch.bfloat16), check="eager").latents)


def batch(bench: Bench) -> None:
    """Each of 3 pictures comes out as if it were made alone."""
    together = bench.edit(n=3).latents
    alone = bench.edit(seed=3).latents  # the third of the seeds 1, 2, 3
    _near(together[:1], bench.plain, "in a batch of 3 the first picture comes out differently")
    _near(together[2:], alone, "in a batch of 3 the last picture comes out differently")


def cfg(bench: Bench) -> None:
    """It works with and without classifier-free guidance."""
    for scale in (1.0, 3.0):
        _finite(bench.edit(cfg=scale, check="eager").latents)


def references(bench: Bench) -> None:
    """It steers with its own reference, whichever of 1 to 3 that is, and with no other."""
    for count in (1, 2, 3):
        _finite(bench.edit(pictures=range(count), check="eager").latents)
    if bench.subject.kind == "method":
        own = [{"pictures": [1, seed], "at": 1, "vision": "never"} for seed in (1, 2)]
        if _alike(bench, *own):
            raise CheckFailed(
                "as the second reference, its own picture makes no difference; use"
                " reference.latents and reference.index of bind, and return what a hook changes"
            )
        first = [bench.edit(pictures=[seed, 2], at=1, others=0.0).latents for seed in (0, 1)]
        equal(first[0], first[1], "as the second reference, it uses the first one's picture")


def _finite(latents: Tensor) -> None:
    if not torch.isfinite(latents).all():
        raise CheckFailed("the latents hold NaN or infinity")


def _near(one: Tensor, other: Tensor, what: str) -> None:
    if not torch.allclose(one, other, atol=CLOSE):
        raise CheckFailed(f"{what}, by up to {(one - other).abs().max().item():.2g}")


def no_mutation(bench: Bench) -> None:
    """It changes nothing in place of what it is given."""
    bench.edit(instance=spied(bench.subject, Untouched()), cfg=3.0, pictures=[0, 1])


def deterministic(bench: Bench) -> None:
    """The same call gives bit-identical latents."""
    equal(bench.plain, bench.edit().latents, "the same call gives other latents")


def inference_mode(bench: Bench) -> None:
    """Under ``torch.inference_mode`` it does the same."""
    with torch.inference_mode():
        latents = bench.edit().latents.clone()
    equal(bench.plain, latents, "torch.inference_mode() gives other latents")


class Confined(Spy):
    """Proves that a method changes nothing outside of a region, ``[T]`` true inside."""

    def __init__(self, inside: Tensor) -> None:
        self._outside = ~inside
        self._copies: dict[str, Tensor] = {}

    def before(self, hook: str, arguments: Mapping[str, Any]) -> None:
        """Keep copies: what is changed in place counts too."""
        del hook
        self._copies = {
            name: value.clone()
            for name, value in arguments.items()
            if isinstance(value, torch.Tensor) and value.ndim == 3
        }

    def after(self, hook: str, arguments: Mapping[str, Any], returned: Any) -> None:
        """Compare what no mask can confine, and what was changed behind its back."""
        for name, copy in self._copies.items():
            if not same(copy[:, self._outside], arguments[name][:, self._outside]):
                raise CheckFailed(f"{hook} changes {name} in place, outside of a region mask too")
        if hook == "refhooks_conditioning" and returned is not None:
            old = arguments["inputs"]
            for name in ("text", "adapters"):
                if getattr(returned, name) is not getattr(old, name):
                    raise CheckFailed(f"{hook} changes {name}, which no mask can confine")
        if hook == "refhooks_attention":
            for edit in returned or ():
                if edit.group == BASE:
                    raise CheckFailed(f"{hook} edits the group {BASE!r}, which no mask can confine")


def masks(bench: Bench) -> None:
    """It acts only inside a region mask, and does not know what a content mask hides."""
    inside = torch.zeros(4, 4, dtype=torch.bool)  # tokens of the target
    inside[:, :2] = True
    spy = Confined(inside.flatten())
    bench.edit(instance=spied(bench.subject, spy), masks=[Mask(LeftHalf())])
    content = [Mask(LeftHalf(), kind="content")]
    known = [bench.edit(pictures=[one], masks=content).latents for one in left_alike()]
    equal(known[0], known[1], "it knows the part of the picture that a content mask hides")
