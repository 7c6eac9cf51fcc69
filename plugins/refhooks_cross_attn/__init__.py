"""The reference's keys and values, attended with a weight of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs
from attrs import validators

from refhooks import AttentionEdit, Branch, Context, InputError, Inputs, Layout, Tokens, hookimpl
from refhooks_cross_attn import _memory, _outlook, _refresh

if TYPE_CHECKING:
    from refhooks import BoundReference, Method, Outlook, PlannedStage, RunInfo
    from refhooks_cross_attn._reuse import Reuse

__all__ = ["CrossAttn"]

EVEN = 2.5  # by what power of strength the weight rises with gain="even"


def _layers(value: Any) -> str | tuple[float, ...] | None:
    if value is None or (isinstance(value, str) and re.fullmatch(r"\d+-\d+", value)):
        return value
    numbers = isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
    if not numbers or not all(_is_weight(weight) for weight in value):
        raise ValueError(
            "layers must be a range such as '10-20', or a list with one weight from 0 to 2 for"
            f" each block, got {value!r}"
        )
    return tuple(float(weight) for weight in value)


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 2


def _above_zero(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0.0 < value < math.inf):
        raise ValueError(f"{field.name} must be a number above 0, got {value!r}")


@attrs.frozen
class CrossAttn:
    """Native tokens whose keys compete with the target's by ``strength``.

    Models of this kind have no cross-attention to a picture: target, text and references share one
    softmax. Strength is therefore a factor ``s`` on the reference's part of it, which is a bias of
    ``log s`` on its logits (OminiControl, arXiv 2411.15098): 0 is no reference, 1 the stock
    pipeline to the bit, and above 1 the reference goes on gaining. The source notes' formula,
    section "cross_attn", is ``key = ref * strength``; it is kept as ``gain="keys"``, and leaves the
    reference partly attended at small strengths. A reference larger than the output moves the
    text's positions as soon as its strength is above 0, so for such a one the way from 0 starts
    with a step.

    With ``reuse`` the reference's keys and values of some steps are kept and read at the others,
    where the model is given none of its tokens; strength acts at those as well. That is exact for
    families whose references neither see the target nor depend on the noise level, and an
    approximation for all others.

    Attributes:
        gain: ``bias``: logit + log s. ``even``: the same with ``s ** 2.5`` for s below 1, by which
            the distance to the source falls more evenly over 0 to 1; the exponent was measured on
            the embedded model (docs/dial.md) and is an estimate for any other. ``keys``: the keys
            are multiplied by s, after QK norm.
        softmax: ``joint``: as trained. ``separate``: the reference has a softmax of its own, and s
            times what it attends to is added (IP-Adapter, arXiv 2308.06721, equation 5); no
            strength equals the stock pipeline then.
        scope: Whose attention to the reference strength acts on. ``auto``: that of the target's
            queries on a model that computes text and references once and keeps them (Qwen-Image
            2.1), which costs nothing; that of all queries on any other. ``all``: of all queries on
            every model; one that keeps text and references computes them anew then, once for each
            strength.
        layers: Blocks in which the reference is attended: a range such as ``10-20`` (0-based, ends
            included), or one factor for each block. Outside it is not attended. ``None``: all.
        reuse: ``never``; ``once``: the first step of the stage at which the reference acts stores,
            all others read; ``every N``: stored anew N steps of the run later, or at the next step
            that has a strength above 0. A step at which the reference's masks hold differently
            stores as well.
        drift_limit: With ``every N``: relative L2 drift of keys and values that the next interval
            is to keep to, at the last one's rate a step; N steps at most, one at least. It makes
            the device wait once a refresh.
        measure_drift: Whether drift is measured at each refresh; ``EditResult.drift`` has it.
        memory_limit: GiB that the kept keys and values may take; more is an error.
    """

    name: ClassVar[str] = "cross_attn"
    marks: ClassVar[Path] = Path(__file__).with_name("marks.json")
    dial_end: ClassVar[float] = 1.0

    gain: Literal["bias", "even", "keys"] = attrs.field(
        default="bias", validator=validators.in_(("bias", "even", "keys"))
    )
    softmax: Literal["joint", "separate"] = attrs.field(
        default="joint", validator=validators.in_(("joint", "separate"))
    )
    scope: Literal["auto", "all"] = attrs.field(
        default="auto", validator=validators.in_(("auto", "all")), kw_only=True
    )
    layers: str | tuple[float, ...] | None = attrs.field(default=None, converter=_layers)
    reuse: str = attrs.field(default="never")
    drift_limit: float | None = attrs.field(default=None, validator=_above_zero)
    measure_drift: bool = attrs.field(default=True, validator=validators.instance_of(bool))
    memory_limit: float | None = attrs.field(default=None, validator=_above_zero)

    @reuse.validator
    def _known_reuse(self, _: object, value: str) -> None:
        _refresh.interval(value)

    def __attrs_post_init__(self) -> None:
        """Refuse options that would do nothing."""
        for name in ("drift_limit", "memory_limit"):
            if self.reuse == "never" and getattr(self, name) is not None:
                raise ValueError(f"{name} has no effect with reuse='never'; leave it out")
        if self.drift_limit is not None and self.reuse == "once":
            raise ValueError("drift_limit needs reuse='every N': 'once' never looks again")
        if self.drift_limit is not None and not self.measure_drift:
            raise ValueError("drift_limit needs measure_drift")

    @property
    def edits_prefix(self) -> bool:
        """Whether strength acts on what is computed once."""
        return self.scope == "all"

    def outlook(self, planned: PlannedStage) -> Outlook:
        """Return at which steps keys and values are reused or computed anew, and what that takes.

        Raises:
            InputError: It takes more than ``memory_limit``.
        """
        every = _refresh.interval(self.reuse)
        outlook = _outlook.of(planned, every, self.drift_limit, self.memory_limit)
        outlook = _outlook.reaching(planned, outlook, anew=self.edits_prefix)
        strengths = [planned.rows[step].strength for step in planned.acting]
        native = self._is_native(strengths) and not planned.steered
        weighs = not (self._is_whole and native)
        return attrs.evolve(outlook, attention=every > 0.0 or weighs)

    @property
    def _is_whole(self) -> bool:
        """Whether the reference is attended in every block, in the model's own softmax."""
        listed = isinstance(self.layers, tuple) and all(factor == 1.0 for factor in self.layers)
        return self.softmax == "joint" and (self.layers is None or listed)

    @staticmethod
    def _is_native(strengths: Sequence[float]) -> bool:
        """Whether the model's own attention does."""
        return all(strength in {0.0, 1.0} for strength in strengths)

    def exactly(self) -> CrossAttn:
        """Return the same without reuse."""
        return attrs.evolve(self, reuse="never", drift_limit=None, memory_limit=None)

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that fills the reference's slot and weighs its keys.

        Raises:
            InputError: ``layers`` does not fit the model's number of blocks, or what is kept does
                not fit ``memory_limit``.
            OutOfMemoryError: What is kept does not fit the device.
        """
        factors = self._factors(run.blocks)
        if self.reuse == "never":
            whole = factors is None and self.softmax == "joint"
            native = whole and self._is_native(reference.strengths) and not reference.steered
            return (_Native if native else _Bound)(self, reference, factors)
        from refhooks_cross_attn._reuse import Reuse  # noqa: PLC0415  imports torch, a second

        _memory.check_run(reference, run, self.memory_limit)
        reuse = Reuse(
            _refresh.interval(self.reuse),
            self.drift_limit,
            measure=self.measure_drift,
            reference=reference,
            run=run,
        )
        return _Reusing(self, reference, factors, reuse)

    def _factors(self, blocks: int) -> tuple[float, ...] | None:
        """One factor for each block, or ``None``: 1 in all of them."""
        factors = self._listed(blocks)
        return None if all(factor == 1.0 for factor in factors) else factors

    def _listed(self, blocks: int) -> tuple[float, ...]:
        if self.layers is None:
            return (1.0,) * blocks
        if isinstance(self.layers, tuple):
            if len(self.layers) != blocks:
                raise InputError(
                    f"cross_attn: layers lists {len(self.layers)} weights, but the model has"
                    f" {blocks} blocks"
                )
            return self.layers
        first, last = (int(end) for end in self.layers.split("-"))
        if not first <= last < blocks:
            raise InputError(
                f"cross_attn: layers={self.layers!r} must rise and stay below the model's"
                f" {blocks} blocks: 0-{blocks - 1} is all of them"
            )
        return tuple(float(first <= block <= last) for block in range(blocks))


class _Weighing:
    """How the reference is attended at a step."""

    def __init__(
        self, method: CrossAttn, reference: BoundReference, factors: tuple[float, ...] | None
    ) -> None:
        self._method = method
        self._slot = reference.index
        self._latents = reference.latents  # [1,R,C]
        self._edits: dict[float, AttentionEdit] = {}
        self._one = self._latents.new_ones(()).float()
        self._factors = self._one if factors is None else self._one.new_tensor(factors)  # [blocks]

    def filled(self, inputs: Inputs) -> Inputs:
        return inputs.fill(self._slot, Tokens(self._latents))

    def weighed(self, ctx: Context) -> AttentionEdit | None:
        strength = ctx.rows[self._slot].strength
        separate = self._method.softmax == "separate"
        if strength == 1.0 and not separate and self._factors.ndim == 0:
            return None
        if strength not in self._edits:  # one strength, one tensor: families know it again by that
            self._edits[strength] = self._edit(strength, separate=separate)
        return self._edits[strength]

    def _edit(self, strength: float, *, separate: bool) -> AttentionEdit:
        prefix = self._method.edits_prefix
        if self._method.gain != "keys":
            even = self._method.gain == "even" and strength < 1.0
            weight = self._factors * (strength**EVEN if even else strength)
            return AttentionEdit(self._slot, weight=weight, separate=separate, prefix=prefix)
        keys = self._one * strength
        return AttentionEdit(
            self._slot, self._factors, key_scale=keys, separate=separate, prefix=prefix
        )


class _Native(_Weighing):
    """The model's own attention, which needs no other processor."""

    @hookimpl
    def refhooks_conditioning(self, inputs: Inputs) -> Inputs:
        return self.filled(inputs)


class _Bound(_Native):
    @hookimpl
    def refhooks_attention(self, ctx: Context) -> list[AttentionEdit] | None:
        edit = self.weighed(ctx)
        return None if edit is None else [edit]


class _Reusing(_Weighing):
    def __init__(
        self,
        method: CrossAttn,
        reference: BoundReference,
        factors: tuple[float, ...] | None,
        reuse: Reuse,
    ) -> None:
        super().__init__(method, reference, factors)
        self._reuse = reuse

    @hookimpl
    def refhooks_conditioning(self, ctx: Context, branch: Branch, inputs: Inputs) -> Inputs | None:
        if self._reuse.loads(ctx, branch):
            return None  # the slot stays empty
        return self.filled(inputs)

    @hookimpl
    def refhooks_attention(
        self, ctx: Context, branch: Branch, layout: Layout
    ) -> list[AttentionEdit] | None:
        edit = self._reuse.edit(ctx, branch, layout, self.weighed(ctx))
        return None if edit is None else [edit]

    def close(self) -> None:
        self._reuse.close()


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [CrossAttn]
