"""Image guidance: the difference that a reference makes, scaled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import attrs
from attrs import validators

from refhooks import Branch, Context, Inputs, Outlook, Tokens, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from refhooks import BoundReference, Method, PlannedStage, RunInfo

__all__ = ["Guidance"]


@attrs.frozen
class Guidance:
    """``v0 + s·(v_ref − v0)``, with ``v0`` the prediction without the reference's tokens.

    InstructPix2Pix's image guidance (arXiv 2211.09800, equation 3), at one forward pass more at
    steps where the strength is not 1. Under classifier-free guidance the difference is that of the
    conditional predictions, added to the guided velocity: ``v + (s − 1)·(v_ref − v0)``; it is the
    formula above without CFG, and with CFG does not approach the run without reference as s nears
    0. Above 1 it goes beyond what the model was trained for. The text encoder sees the picture in
    both passes.

    With ``away`` the picture is what the run moves away from: ``v0 − s·(v_ref − v0)``, and under
    classifier-free guidance ``v − s·(v_ref − v0)``, where ``v`` is the guided velocity of a run
    that is not given the reference's tokens, ``v0`` its conditional prediction, and ``v_ref`` that
    of one pass more which has them. 0 is no reference; 1 moves away by all of the difference.
    The text encoder sees the picture, unless the strategy says ``vision="never"``.

    Attributes:
        away: Whether the run moves away from the reference, instead of towards it.
    """

    name: ClassVar[str] = "guidance"
    marks: ClassVar[Path] = Path(__file__).with_name("marks.json")

    away: bool = attrs.field(default=False, validator=validators.instance_of(bool))

    def outlook(self, planned: PlannedStage) -> Outlook:
        """Foresee one pass more, without the tokens, at steps where the strength is not 1.

        Moving away, it is at every step, and the only one with the tokens.
        """
        acting = planned.acting
        if self.away:
            return Outlook(
                tokens=(0.0,) * len(planned.rows),
                added=tuple((step, 1.0) for step in acting),
                attention=False,
            )
        return Outlook(
            added=tuple((step, 0.0) for step in acting if planned.rows[step].strength != 1.0),
            attention=False,
        )

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that adds the branch and combines the predictions."""
        del run
        return _Away(reference) if self.away else _Bound(reference)


class _Bound:
    def __init__(self, reference: BoundReference) -> None:
        self._slot = reference.index
        self._latents = reference.latents  # [1,R,C]
        self._without = Branch(f"without reference {reference.index + 1}")

    @hookimpl
    def refhooks_branches(self, ctx: Context, branches: Sequence[Branch]) -> list[Branch] | None:
        return None if self._strength(ctx) == 1.0 else [*branches, self._without]

    @hookimpl
    def refhooks_conditioning(self, branch: Branch, inputs: Inputs) -> Inputs | None:
        if branch == self._without:
            return None
        return inputs.fill(self._slot, Tokens(self._latents))

    @hookimpl
    def refhooks_velocity(
        self, ctx: Context, predictions: Mapping[str, Tensor], velocity: Tensor
    ) -> Tensor | None:
        strength = self._strength(ctx)
        if strength == 1.0:
            return None
        difference = predictions["cond"] - predictions[self._without.name]
        return velocity + (strength - 1.0) * difference

    def _strength(self, ctx: Context) -> float:
        return ctx.rows[self._slot].strength


class _Away:
    def __init__(self, reference: BoundReference) -> None:
        self._slot = reference.index
        self._latents = reference.latents  # [1,R,C]
        self._with = Branch(f"with reference {reference.index + 1}")

    @hookimpl
    def refhooks_branches(self, branches: Sequence[Branch]) -> list[Branch]:
        return [*branches, self._with]

    @hookimpl
    def refhooks_conditioning(self, branch: Branch, inputs: Inputs) -> Inputs | None:
        if branch != self._with:
            return None
        return inputs.fill(self._slot, Tokens(self._latents))

    @hookimpl
    def refhooks_velocity(
        self, ctx: Context, predictions: Mapping[str, Tensor], velocity: Tensor
    ) -> Tensor:
        difference = predictions[self._with.name] - predictions["cond"]
        return velocity - ctx.rows[self._slot].strength * difference


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [Guidance]
