"""References attended by what they show rather than by where: their RoPE frequencies, scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from attrs import validators

from refhooks import AttentionEdit, InputError, Tokens, hookimpl

if TYPE_CHECKING:
    from refhooks import BoundReference, Context, Inputs, Method, ModelInfo, RunInfo

__all__ = ["Untwist"]

REFHOOKS_HOOKSPEC = "1.0"


def _between(low: float, high: float) -> Any:
    """A number in a range; attrs names the option, the bound and the value where it is not."""
    number = validators.instance_of((int, float))
    no_bool = validators.not_(validators.instance_of(bool))
    return validators.and_(number, no_bool, validators.ge(low), validators.le(high))


@attrs.frozen
class Untwist:
    """A reference whose keys are scaled by frequency, and attended with the strength as weight.

    Pair ``d`` of an axis with ``n`` pairs is multiplied by ``high + (low − high)·(d/(n−1))^beta``,
    so its first pair, which turns fastest with position, by ``high``, and its last by ``low``.
    Below 1, ``high`` weakens what draws a query to the reference's token at its own place; ``low``
    above 1 strengthens what is the same at every place. Both rise by ``rise`` over the run.

    Source: "Untwisting RoPE", arXiv 2602.05013, after the authors' page untwisting-rope.github.io.
    There it serves shared attention between two pictures that are made together. Here the reference
    is clean, and rows and columns each have their own pairs; the pairs of the frame axis turn alike
    for all tokens of a picture, and are left as they are.

    Strength is a factor on the reference's part of the attention, as in ``cross_attn``: 0 is no
    reference. At 1 with ``high = low = 1`` and no rise it is the model's own balance.

    Attributes:
        high: Scale of the highest frequency at the first step, 0–2.
        low: Scale of the lowest frequency at the first step, 0–2.
        beta: Exponent of the way between them, above 0 to 64: the larger, the fewer of the lowest
            frequencies have nearly ``low``.
        rise: What is added to both by the last step, linearly, 0–1.
    """

    name: ClassVar[str] = "untwist"

    high: float = attrs.field(default=0.4, validator=_between(0, 2))
    low: float = attrs.field(default=1.2, validator=_between(0, 2))
    beta: float = attrs.field(default=2.0, validator=[_between(0, 64), validators.gt(0)])
    rise: float = attrs.field(default=0.2, validator=_between(0, 1))

    def check(self, model: ModelInfo | None) -> None:
        """Refuse a model whose rotary embedding is not known."""
        if model is not None and model.rope_axes is None:
            raise InputError(
                f"untwist needs to know which channels turn with which position, and the family"
                f" {model.family!r} does not say (ModelInfo.rope_axes); use cross_attn"
            )

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that fills the reference's slot and scales its keys."""
        return _Bound(self, reference, run)

    def scales(self, axes: tuple[int, ...], progress: float = 0.0) -> list[float]:
        """Return the factor on each channel of a head, ``[D]``.

        Args:
            axes: Channels of each axis, the frame's first, as ``ModelInfo.rope_axes``.
            progress: Of the run, 0 at its first step and 1 at its last.
        """
        frame, *places = axes
        return [1.0] * frame + [scale for size in places for scale in self.axis(size, progress)]

    def axis(self, size: int, progress: float = 0.0) -> list[float]:
        """Return the factor on each channel of one axis, ``[size]``."""
        high, low = self.high + self.rise * progress, self.low + self.rise * progress
        last = max(size // 2 - 1, 1)
        pairs = (high + (low - high) * (pair / last) ** self.beta for pair in range(size // 2))
        return [scale for scale in pairs for _ in range(2)]


class _Bound:
    def __init__(self, method: Untwist, reference: BoundReference, run: RunInfo) -> None:
        self._slot = reference.index
        self._latents = reference.latents  # [1,R,C]
        self._one = self._latents.new_ones(()).float()
        axes, last = run.model.rope_axes or (), max(len(run.sigmas) - 1, 1)
        steps = [method.scales(axes, index / last) for index in range(len(run.sigmas))]
        self._scales = self._one.new_tensor(steps)  # [N,D], so that no step waits for the device

    @hookimpl
    def refhooks_conditioning(self, inputs: Inputs) -> Inputs:
        return inputs.fill(self._slot, Tokens(self._latents))

    @hookimpl
    def refhooks_attention(self, ctx: Context) -> list[AttentionEdit]:
        weight = self._one * ctx.rows[self._slot].strength
        return [AttentionEdit(self._slot, weight=weight, key_scale=self._scales[ctx.step.index])]


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [Untwist]
