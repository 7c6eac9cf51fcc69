"""A method that acts only where the prediction is near the reference, as no random model's is."""

from __future__ import annotations

from typing import ClassVar

import attrs

from refhooks import hookimpl


@attrs.frozen
class Gate:
    """Draws the predicted x0 to the reference where a token is near it already, and nowhere else.

    Attributes:
        near: How far the two may be apart, above 0.
    """

    name: ClassVar[str] = "kit-gate"
    near: float = 0.3

    def bind(self, reference, run):
        return GateBound(self.near, reference)


class GateBound:
    def __init__(self, near, reference):
        self.near, self.slot, self.latents = near, reference.index, reference.fitted()

    @hookimpl
    def refhooks_velocity(self, ctx, latents, velocity):
        sigma, weight = ctx.step.sigma, ctx.rows[self.slot].strength / 2
        x0 = latents - sigma * velocity
        off = (self.latents - x0) * ((self.latents - x0).abs().mean(-1, keepdim=True) < self.near)
        return velocity - off * (weight / sigma)
