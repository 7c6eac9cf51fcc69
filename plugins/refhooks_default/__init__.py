"""The reference as the model was trained to take it: its own tokens, beside the target's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from refhooks import Branch, Context, Inputs, Tokens, hookimpl

if TYPE_CHECKING:
    from refhooks import BoundReference, Method, RunInfo

__all__ = ["Default"]


@attrs.frozen
class Default:
    """Native reference tokens, ``[x_t ; s·r]`` along the sequence.

    The guide's section "default": ``edit_latent * strength``. At 1 it is the stock pipeline to the
    bit. The model's layer norm removes much of the scale, so the effect saturates above 1;
    ``cross_attn`` does not.
    """

    name: ClassVar[str] = "default"

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that fills the reference's slot."""
        del run
        return _Bound(reference)


class _Bound:
    def __init__(self, reference: BoundReference) -> None:
        self._slot = reference.index
        self._latents = reference.latents  # [1,R,C]

    @hookimpl
    def refhooks_conditioning(self, ctx: Context, branch: Branch, inputs: Inputs) -> Inputs:  # noqa: ARG002
        strength = ctx.rows[self._slot].strength
        latents = self._latents if strength == 1.0 else self._latents * strength
        return inputs.fill(self._slot, Tokens(latents))


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [Default]
