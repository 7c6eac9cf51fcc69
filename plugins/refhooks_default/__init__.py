"""The reference as the model was trained to take it: its own tokens, beside the target's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import attrs
from attrs import validators

from refhooks import Context, Inputs, Tokens, hookimpl

if TYPE_CHECKING:
    from refhooks import BoundReference, Method, RunInfo

__all__ = ["Default"]


@attrs.frozen
class Default:
    """Native reference tokens, ``[x_t ; s·r]`` along the sequence.

    The guide's section "default": ``edit_latent * strength``. At 1 it is the stock pipeline to the
    bit. The model's layer norm removes much of the scale, so the effect saturates above 1;
    ``cross_attn`` does not.

    Attributes:
        positions: Where the model places the picture. ``native``: on a frame of its own (ComfyUI
            calls it ``index``); ``same``: on the target's own frame, on top of it; ``offset``: on
            the target's frame, to the right of it or below. Models were trained with ``native``.
    """

    name: ClassVar[str] = "default"

    positions: Literal["native", "same", "offset"] = attrs.field(
        default="native", validator=validators.in_(("native", "same", "offset"))
    )

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that fills the reference's slot."""
        del run
        return _Bound(self, reference)


class _Bound:
    def __init__(self, method: Default, reference: BoundReference) -> None:
        self._slot = reference.index
        self._positions = method.positions
        self._latents = reference.latents  # [1,R,C]

    @hookimpl
    def refhooks_conditioning(self, ctx: Context, inputs: Inputs) -> Inputs:
        strength = ctx.rows[self._slot].strength
        latents = self._latents if strength == 1.0 else self._latents * strength
        return inputs.fill(self._slot, Tokens(latents, positions=self._positions))


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [Default]
