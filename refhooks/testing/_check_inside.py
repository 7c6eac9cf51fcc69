"""The check that a plugin works where a part of the target is computed."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._core.contract.inside import Inside
from refhooks._core.masks.mask import Mask
from refhooks.errors import InputError
from refhooks.hookspecs import hookimpl
from refhooks.testing._bench import LeftHalf
from refhooks.testing._check_runs import equal
from refhooks.testing._report import CheckFailed
from refhooks.testing._watch import Spy, same, spied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from refhooks.testing._bench import Bench

COMPUTED = torch.arange(16).view(4, 4)[:, :2].flatten()
"""The target's tokens that are computed, of 4x4: those of :class:`LeftHalf`."""
SAY_SO = "or set needs_whole_target = True on the class, so that compute='inside' is refused"


def inside(bench: Bench) -> None:
    """It works where only the inside of an edit mask is computed, or says that it cannot."""
    mask = Mask(LeftHalf())
    part: dict[str, Any] = {"edit_mask": mask, "compute": Inside(halo=0), "check": "eager"}
    if getattr(bench.subject.made(), "needs_whole_target", False):
        return  # the core refuses it before the first step
    every = bench.edit(plugins=[_Every()]).latents
    equal(bench.plain, every, "where Inputs.keep names every token of the target it acts otherwise")

    outside = torch.ones(16, dtype=torch.bool)
    outside[COMPUTED] = False
    plain = bench.edit(**part).latents
    whole = bench.edit(edit_mask=mask).latents
    equal(
        whole[:, outside],
        plain[:, outside],
        "outside of an edit mask it acts otherwise where that is not computed",
    )
    other = bench.edit(instance=spied(bench.subject, _Elsewhere(outside)), **part).latents
    if not same(plain[:, COMPUTED], other[:, COMPUTED]):
        raise CheckFailed(
            "refhooks_velocity makes the inside of an edit mask depend on the velocity outside,"
            f" which is not computed; use each token's own, {SAY_SO}"
        )
    _reused(bench, part)


def _reused(bench: Bench, part: Mapping[str, Any]) -> None:
    """With keys and values of an earlier step too, unless it is refused beside it."""
    try:
        bench.edit(**{**part, "compute": Inside(halo=0, reuse=2)})
    except InputError as error:
        if "keeps keys and values of earlier steps itself" not in str(error):
            raise


class _Every:
    """Names every token of the target, so that the way of a part is taken."""

    @hookimpl(trylast=True)
    def refhooks_conditioning(self, inputs: Any) -> Any:
        return attrs.evolve(inputs, keep=torch.arange(inputs.target.shape[1]))


class _Elsewhere(Spy):
    """Gives a hook other velocities of the tokens that are not computed, ``[T]`` true for them."""

    def __init__(self, outside: Tensor) -> None:
        self._outside = outside

    def given(self, hook: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change what the hook is given, in copies."""
        if hook != "refhooks_velocity":
            return arguments
        found = dict(arguments)
        if "velocity" in found:
            found["velocity"] = self._changed(found["velocity"])
        if "predictions" in found:
            changed = {name: self._changed(it) for name, it in found["predictions"].items()}
            found["predictions"] = MappingProxyType(changed)
        return found

    def _changed(self, velocity: Tensor) -> Tensor:
        changed = velocity.clone()
        changed[:, self._outside] = 1.0 - 3.0 * changed[:, self._outside]
        return changed
