"""The reference mixed into the latents themselves, at every step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs
from attrs import validators

from refhooks import AttentionEdit, Context, Inputs, Outlook, Tokens, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from refhooks import BoundReference, Method, PlannedStage, RunInfo

__all__ = ["Inject"]

PULL_WHILE_SIGMA_ABOVE = 0.2
NEAR = 0.25  # RMS distance of normalised latents at which a gate at 1 is down to 1/e
DRAWN_WHILE_SIGMA_ABOVE = 0.8  # by a gate above 1, everywhere


@attrs.frozen
class Inject:
    """Mixes the clean reference latents ``r`` into ``x_t``.

    The picture is fitted to the target's grid. Sources: the source notes, sections "inject" and
    "Model Processing" for ``add``; ``blend`` and ``pull`` are common repairs of it, and ``gate`` is
    our own, tried on the embedded model.

    Attributes:
        formula: ``add``: ``x + r·s·(1 − sigma)``. ``blend``: ``(1 − w)·x + w·((1 −
            sigma)·r + sigma·ε)`` with ``w = min(1, s·(1 − sigma))`` and the run's own noise ``ε``,
            so the mix stays at the step's noise level. ``pull``: the predicted ``x0`` is moved
            toward r by ``w = s/2`` of the way while ``sigma > 0.2``. ``gate``: the model is given
            the reference's tokens, weighed by ``min(s, 1)`` as ``cross_attn`` does, and ``x0`` is
            moved toward r by ``g = exp(−(d/(0.25·s))²)`` of the way, ``d`` the RMS distance of a
            token of ``x0`` to that of r: what is near the reference already is drawn to it, what is
            edited is left alone. Above 1 what remains is moved by ``s − 1`` everywhere while
            ``sigma > 0.8``.
        where: For ``add`` and ``blend``. ``input`` changes only what the model sees (the
            forward-pass form); ``latents`` persists (the sampler form), so its effect grows
            with the number of steps, and strength does not mean the same at 4 and at 28.
        tokens: ``drop``: the model gets no reference tokens, and is faster for it. ``keep``: it
            gets them as ``default`` at 1 does, and r is mixed in besides. ``gate`` keeps them, all
            others drop them unless they are told.
        fit: How the picture is fitted to the target's shape, in pixels and before it is encoded:
            ``cover``, ``contain`` or ``stretch``.

    Blend weights of several references that act on the input add up; where they sum above 1 they
    are scaled to 1. Masks count: references that act in different places do not scale each other.
    """

    name: ClassVar[str] = "inject"
    marks: ClassVar[Path] = Path(__file__).with_name("marks.json")

    formula: Literal["add", "blend", "pull", "gate"] = attrs.field(
        default="add", validator=validators.in_(("add", "blend", "pull", "gate"))
    )
    where: Literal["input", "latents"] = attrs.field(
        default="input", validator=validators.in_(("input", "latents"))
    )
    tokens: Literal["drop", "keep"] = attrs.field(validator=validators.in_(("drop", "keep")))
    fit: Literal["cover", "contain", "stretch"] = attrs.field(
        default="cover", validator=validators.in_(("cover", "contain", "stretch"))
    )

    @where.validator
    def _has_a_place(self, _: Any, value: str) -> None:
        if self.formula in {"pull", "gate"} and value == "latents":
            raise ValueError(
                f"where='latents' does not go with formula={self.formula!r}, which acts on the"
                " prediction"
            )

    @tokens.default
    def _of_the_formula(self) -> str:
        return "keep" if self.formula == "gate" else "drop"

    @tokens.validator
    def _a_gate_needs_them(self, _: Any, value: str) -> None:
        if self.formula == "gate" and value == "drop":
            raise ValueError(
                "tokens='drop' does not go with formula='gate', which draws to the reference what"
                " the model has made like it; leave tokens out"
            )

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{}, {"formula": "blend"}, {"formula": "pull"}, {"formula": "gate"}]

    @property
    def gives_tokens(self) -> bool:
        """Whether the model is given the reference's tokens."""
        return self.tokens == "keep"

    def outlook(self, planned: PlannedStage) -> Outlook:
        """Foresee that attention is left alone, unless a gate weighs the tokens."""
        strengths = [planned.rows[step].strength for step in planned.acting]
        compiled = planned.model is not None and planned.model.compiled
        weighs = planned.steered or _weighs(strengths, compiled=compiled)
        weighs = self.formula == "gate" and weighs
        return Outlook(attention=weighs)

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that mixes the reference in."""
        if self.formula == "gate":
            compiled = run.model.compiled
            weighs = reference.steered or _weighs(reference.strengths, compiled=compiled)
            return (
                _WeighedGate(self, reference, always=compiled) if weighs else _Gate(self, reference)
            )
        if self.formula == "pull":
            return _Pull(self, reference)
        if self.formula == "add":
            return (_AddToLatents if self.where == "latents" else _AddToInput)(self, reference)
        return (_BlendLatents if self.where == "latents" else _BlendInput)(self, reference, run)


def blend_weight(strength: float, sigma: float) -> float:
    """Return how much of ``x_t`` a blend replaces, 0–1."""
    return min(1.0, strength * (1.0 - sigma))


def _weighs(strengths: Sequence[float], *, compiled: bool) -> bool:
    """Whether a gate needs more than the model's own attention at any of these strengths.

    With compiled blocks also above 1, so that one graph serves all.
    """
    return any(0.0 < it < 1.0 or (compiled and it > 1.0) for it in strengths)


class _Bound:
    def __init__(self, method: Inject, reference: BoundReference) -> None:
        self._slot = reference.index
        self._reference = reference.fitted(method.fit)  # [1,T,C]
        self._tokens = reference.latents if method.tokens == "keep" else None  # [1,R,C]

    def _strength(self, ctx: Context) -> float:
        return ctx.rows[self._slot].strength

    def _added(self, ctx: Context, latents: Tensor) -> Tensor:
        return latents + self._reference * (self._strength(ctx) * (1.0 - ctx.step.sigma))

    def _with_tokens(self, inputs: Inputs) -> Inputs:
        return inputs if self._tokens is None else inputs.fill(self._slot, Tokens(self._tokens))


class _OnLatents(_Bound):
    """What acts on the latents may still give the model its tokens."""

    @hookimpl
    def refhooks_conditioning(self, inputs: Inputs) -> Inputs:
        return self._with_tokens(inputs)


class _AddToLatents(_OnLatents):
    @hookimpl
    def refhooks_step(self, ctx: Context, latents: Tensor) -> Tensor:
        return self._added(ctx, latents)


class _AddToInput(_Bound):
    @hookimpl
    def refhooks_conditioning(self, ctx: Context, inputs: Inputs) -> Inputs:
        target = self._added(ctx, inputs.target)
        return self._with_tokens(attrs.evolve(inputs, target=target))


class _BlendLatents(_OnLatents):
    def __init__(self, method: Inject, reference: BoundReference, run: RunInfo) -> None:
        super().__init__(method, reference)
        self._noise = run.noise  # [B,T,C]

    @hookimpl
    def refhooks_step(self, ctx: Context, latents: Tensor) -> Tensor:
        weight = blend_weight(self._strength(ctx), ctx.step.sigma)
        return (1.0 - weight) * latents + weight * self._noised(ctx)

    def _noised(self, ctx: Context) -> Tensor:
        return (1.0 - ctx.step.sigma) * self._reference + ctx.step.sigma * self._noise


class _BlendInput(_BlendLatents):
    """Each blend adds ``w·(a − x)`` with the same ``x``: references may come in any order."""

    def __init__(self, method: Inject, reference: BoundReference, run: RunInfo) -> None:
        super().__init__(method, reference, run)
        self._methods = run.methods
        self._cover = run.cover
        self._latents: Tensor | None = None

    @hookimpl(trylast=True)
    def refhooks_step(self, latents: Tensor) -> None:  # type: ignore[override]
        self._latents = latents

    @hookimpl
    def refhooks_conditioning(self, ctx: Context, inputs: Inputs) -> Inputs:  # type: ignore[override]
        assert self._latents is not None  # noqa: S101  the step hook comes first
        weight = self._shared(ctx, blend_weight(self._strength(ctx), ctx.step.sigma))
        target = inputs.target + weight * (self._noised(ctx) - self._latents)
        return self._with_tokens(attrs.evolve(inputs, target=target))

    def _shared(self, ctx: Context, weight: float) -> float | Tensor:
        """A weight, scaled where those of all references that are blended here sum above 1."""
        total: float | Tensor = sum(self._weights(ctx))
        if isinstance(total, float):
            return weight / max(1.0, total)
        return (weight / total.clamp(min=1.0)).to(self._reference.dtype)  # [1,T,1]

    def _weights(self, ctx: Context) -> Iterator[float | Tensor]:
        """The weight of each reference that is blended into the input at this step."""
        for row in ctx.rows:
            if row.strength > 0.0 and self._blends(self._methods[row.reference][row.stage]):
                cover = self._cover(ctx, row.reference)
                weight = blend_weight(row.strength, ctx.step.sigma)
                yield weight if cover is None else weight * cover

    @staticmethod
    def _blends(method: Method) -> bool:
        return isinstance(method, Inject) and method.formula == "blend" and method.where == "input"


class _Pull(_OnLatents):
    @hookimpl
    def refhooks_velocity(self, ctx: Context, latents: Tensor, velocity: Tensor) -> Tensor | None:
        sigma = ctx.step.sigma
        if sigma <= PULL_WHILE_SIGMA_ABOVE:
            return None
        x0 = latents - sigma * velocity
        return velocity - (0.5 * self._strength(ctx) / sigma) * (self._reference - x0)


class _Gate(_OnLatents):
    @hookimpl
    def refhooks_velocity(self, ctx: Context, latents: Tensor, velocity: Tensor) -> Tensor:
        strength, sigma = self._strength(ctx), ctx.step.sigma
        way = self._reference - (latents - sigma * velocity)  # from x0 to r, [B,T,C]
        distance = way.float().square().mean(dim=-1, keepdim=True).sqrt()  # [B,T,1]
        share = (-((distance / (NEAR * strength)) ** 2)).exp()
        if strength > 1.0 and sigma > DRAWN_WHILE_SIGMA_ABOVE:
            share = share + (1.0 - share) * (strength - 1.0)  # what the gate left, by so much
        return velocity - (share / sigma).to(way.dtype) * way


class _WeighedGate(_Gate):
    """Weighs the tokens' keys below 1; ``always``, by 1 from there on, so that one graph serves."""

    def __init__(self, method: Inject, reference: BoundReference, *, always: bool) -> None:
        super().__init__(method, reference)
        self._always = always
        self._edits: dict[float, AttentionEdit] = {}

    @hookimpl
    def refhooks_attention(self, ctx: Context) -> list[AttentionEdit] | None:
        weight = min(1.0, self._strength(ctx))
        if weight == 1.0 and not self._always:
            return None
        if weight not in self._edits:  # one strength, one tensor: families know it again by that
            own = self._reference.new_ones(()).float() * weight
            self._edits[weight] = AttentionEdit(self._slot, weight=own)
        return [self._edits[weight]]


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [Inject]
