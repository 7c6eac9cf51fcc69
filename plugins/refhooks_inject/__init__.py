"""The reference mixed into the latents themselves, at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import attrs
from attrs import validators

from refhooks import Branch, Context, Inputs, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks import BoundReference, Method, RunInfo

__all__ = ["Inject"]


@attrs.frozen
class Inject:
    """Mixes the clean reference latents ``r`` into ``x_t``; the model gets no reference tokens.

    Attributes:
        formula: ``add``, the guide's: ``x + r·s·(1 − sigma)``.
        where: ``input`` changes only what the model sees (the guide's forward-pass form);
            ``latents`` persists (the guide's sampler form), so its sum grows with the number of
            steps and strength does not mean the same at 4 and at 28.
        fit: How the picture is fitted to the target's shape, in pixels and before it is encoded:
            ``cover``, ``contain`` or ``stretch``.

    The source is the guide's section "inject" and "Model Processing".
    """

    name: ClassVar[str] = "inject"

    formula: Literal["add"] = attrs.field(default="add", validator=validators.in_(("add",)))
    where: Literal["input", "latents"] = attrs.field(
        default="input", validator=validators.in_(("input", "latents"))
    )
    fit: Literal["cover", "contain", "stretch"] = attrs.field(
        default="cover", validator=validators.in_(("cover", "contain", "stretch"))
    )

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that mixes the reference in."""
        del run
        return (_InLatents if self.where == "latents" else _InInput)(self, reference)


class _Bound:
    def __init__(self, method: Inject, reference: BoundReference) -> None:
        self._slot = reference.index
        self._reference = reference.fitted(method.fit)  # [1,T,C]

    def _mixed(self, ctx: Context, latents: Tensor) -> Tensor:
        weight = ctx.rows[self._slot].strength * (1.0 - ctx.step.sigma)
        return latents + self._reference * weight


class _InLatents(_Bound):
    @hookimpl
    def refhooks_step(self, ctx: Context, latents: Tensor) -> Tensor:
        return self._mixed(ctx, latents)


class _InInput(_Bound):
    @hookimpl
    def refhooks_conditioning(self, ctx: Context, branch: Branch, inputs: Inputs) -> Inputs:  # noqa: ARG002
        return attrs.evolve(inputs, target=self._mixed(ctx, inputs.target))


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [Inject]
