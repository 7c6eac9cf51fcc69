"""How others scale a reference, as plugins of the public interface: ``Editor(plugins=[...])``.

Formulas only; none of their code. What needs no plugin is an option of a method that ships: the
latents·s of ReferenceLatentPlus is ``default`` with a ``window`` schedule, OminiControl's logit +
log s is ``cross_attn``, image guidance is ``guidance``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs
from attrs import validators

from refhooks import AttentionEdit, Context, Inputs, Tokens, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks import BoundReference, Method, RunInfo


@attrs.frozen
class KeysValues:
    """``K·s`` and ``V·s``: the reference's keys and values are both multiplied.

    Flux2Klein-Enhancer's form, at 1.05 to 1.15. Keys are scaled after QK norm. Small strengths do
    not take the reference away: logits of 0 still get a share of the attention, of small values.
    """

    name: ClassVar[str] = "keys-values"

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that fills the slot and scales its keys and values."""
        del run
        return _Scaled(reference)


class _Native:
    """The reference's own tokens."""

    def __init__(self, reference: BoundReference) -> None:
        self._slot = reference.index
        self._latents = reference.latents  # [1,R,C]

    def _strength(self, ctx: Context) -> float:
        return ctx.rows[self._slot].strength


class _Scaled(_Native):
    @hookimpl
    def refhooks_conditioning(self, inputs: Inputs) -> Inputs:
        return inputs.fill(self._slot, Tokens(self._latents))

    @hookimpl
    def refhooks_attention(self, ctx: Context) -> list[AttentionEdit]:
        scale = self._latents.new_tensor(self._strength(ctx)).float()
        return [AttentionEdit(self._slot, key_scale=scale, value_scale=scale)]


@attrs.frozen
class PullX0:
    """``x0 += (ref − x0)·w·s``: the prediction is moved toward the reference.

    Where it ends is where its stage does, at 0.8 of the run. With the velocity
    ``v = (x_t − x0)/sigma`` it is ``v −= (ref − x0)·w·s/sigma``.

    Attributes:
        weight: ``w``, the same everywhere, 0–1.
        tokens: ``keep``: the model is given the reference as well. ``drop``: it is not.
    """

    name: ClassVar[str] = "pull-x0"

    weight: float = attrs.field(default=1.0, validator=[validators.ge(0.0), validators.le(1.0)])
    tokens: Literal["keep", "drop"] = attrs.field(
        default="keep", validator=validators.in_(("keep", "drop"))
    )

    @property
    def gives_tokens(self) -> bool:
        """Whether the model is given the reference's tokens."""
        return self.tokens == "keep"

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{}, {"tokens": "drop"}]

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that moves the prediction."""
        del run
        return _Pulled(self, reference)


class _Pulled:
    def __init__(self, method: PullX0, reference: BoundReference) -> None:
        self._slot = reference.index
        self._weight = method.weight
        self._fitted = reference.fitted()  # [1,T,C]
        self._tokens = reference.latents if method.gives_tokens else None  # [1,R,C]

    @hookimpl
    def refhooks_conditioning(self, inputs: Inputs) -> Inputs | None:
        if self._tokens is None:
            return None
        return inputs.fill(self._slot, Tokens(self._tokens))

    @hookimpl
    def refhooks_velocity(self, ctx: Context, latents: Tensor, velocity: Tensor) -> Tensor:
        sigma, strength = ctx.step.sigma, ctx.rows[self._slot].strength
        x0 = latents - sigma * velocity
        return velocity - (self._fitted - x0) * (self._weight * strength / sigma)


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the methods."""
    return [KeysValues, PullX0]
