"""The reference as the model was trained to take it: its own tokens, beside the target's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import attrs
from attrs import validators

from refhooks import AttentionEdit, Context, InputError, Inputs, Outlook, Tokens, hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import BoundReference, Method, ModelInfo, PlannedStage, RunInfo

__all__ = ["Default"]

EVERYWHERE = ("native", "same", "offset")
POSITIONS = (*EVERYWHERE, "comfy-offset", "negative")


@attrs.frozen
class Default:
    """Native reference tokens, ``[x_t ; s·r]`` along the sequence.

    The source notes, section "default": ``edit_latent * strength``. At 1 it is the stock pipeline
    to the bit. Latents scaled above 1 are what no model was trained on, and less is kept again; so
    there the tokens stay as they are, and their keys gain ``log s`` on their logits instead
    (OminiControl, arXiv 2411.15098).

    Attributes:
        above_one: What a strength above 1 raises. ``bias``: the keys' logits. ``latents``: the
            latents, which is the notes' formula at every strength.
        positions: Where the model places the picture. ``native``: on a frame of its own (ComfyUI
            calls it ``index``); ``same``: on the target's own frame, on top of it; ``offset``: on
            the target's frame, to the right of it or below. Models were trained with ``native``.
            On Qwen-Image-Edit also ``negative``, on frames -1, -2 and so on, and ``comfy-offset``,
            all on frame 1, as ComfyUI's ``offset`` and ``uxo`` put them.
        modulate: ``zero``: at each step as if it were clean, at noise level 0, which is how 2511
            was trained and does without being asked (ComfyUI: ``index_timestep_zero``).
            ``native``: as the checkpoint does it.
    """

    name: ClassVar[str] = "default"
    marks: ClassVar[Path] = Path(__file__).with_name("marks.json")
    dial_end: ClassVar[float] = 1.0

    above_one: Literal["bias", "latents"] = attrs.field(
        default="bias", validator=validators.in_(("bias", "latents"))
    )
    positions: Literal["native", "same", "offset", "comfy-offset", "negative"] = attrs.field(
        default="native", validator=validators.in_(POSITIONS)
    )
    modulate: Literal["native", "zero"] = attrs.field(
        default="native", validator=validators.in_(("native", "zero"))
    )

    def check(self, model: ModelInfo | None) -> None:
        """Refuse positions and modulation that a model has not.

        Raises:
            InputError: Its references stand within the text, and ``positions`` is not ``native``;
                or its adapter does not know the value; or a part that is compiled would not see it.
        """
        if model is not None and model.sight == "prefix" and self.positions != "native":
            raise InputError(
                f"default: positions={self.positions!r} is not for {model.family}, whose references"
                " stand within the text; leave positions out"
            )
        if model is None:
            return
        for name, value in (("positions", self.positions), ("modulate", self.modulate)):
            if value not in (*EVERYWHERE, *model.variants.get(name, ())):
                raise InputError(
                    f"default: {name}={value!r} is not for {model.family}, whose adapter does not"
                    f" know it; leave {name} out"
                )
        if self.modulate != "native" and model.compiled:
            raise InputError(
                "default: modulate='zero' changes what goes into blocks, which compiled ones do not"
                " see; load the model anew and do not compile it, or leave modulate out"
            )

    def outlook(self, planned: PlannedStage) -> Outlook:
        """Return at which steps its latents are scaled in another way, and what that takes."""
        rescaled = planned.changes(lambda row: self.scale(row.strength), 1.0)
        times = 1 + sum(step in planned.acting[1:] for step in rescaled)
        weighs = self._weighs(
            [planned.rows[step].strength for step in planned.acting],
            steered=planned.steered,
            compiled=planned.model is not None and planned.model.compiled,
        )
        model = planned.model
        if times == 1 or model is None or not (model.sight == "prefix" or model.reuse_exact):
            return Outlook(rescaled=rescaled, attention=weighs)
        what = "text and references" if model.sight == "prefix" else "references"
        remark = (
            f"reference {planned.reference + 1}: default scales its latents, so this model computes"
            f" {what} anew where its strength changes, {times} times a pass at most;"
            " cross_attn weighs the keys that are kept"
        )
        return Outlook(remarks=(remark,), rescaled=rescaled, attention=weighs)

    def scale(self, strength: float) -> float:
        """Return the factor on the latents at a strength."""
        return min(strength, 1.0) if self.above_one == "bias" else strength

    def _weighs(self, strengths: Sequence[float], *, steered: bool, compiled: bool) -> bool:
        """Whether keys are weighed at any of these strengths, or any that may be set."""
        if self.above_one == "latents" or steered:
            return steered and self.above_one == "bias"
        if compiled:
            return any(strength not in (0.0, 1.0) for strength in strengths)
        return max(strengths) > 1.0

    def bind(self, reference: BoundReference, run: RunInfo) -> object:
        """Return the object that fills the reference's slot."""
        compiled = self.above_one == "bias" and run.model.compiled
        weighs = self._weighs(reference.strengths, steered=reference.steered, compiled=compiled)
        return _Weighed(self, reference, always=compiled) if weighs else _Bound(self, reference)


class _Bound:
    def __init__(self, method: Default, reference: BoundReference) -> None:
        self._slot = reference.index
        self._method = method
        self._latents = reference.latents  # [1,R,C]
        self._scaled: dict[float, Tensor] = {1.0: self._latents}

    @hookimpl
    def refhooks_conditioning(self, ctx: Context, inputs: Inputs) -> Inputs:
        scale = self._method.scale(ctx.rows[self._slot].strength)
        if scale not in self._scaled:  # one strength, one tensor: families know it again by that
            self._scaled[scale] = self._latents * scale
        method = self._method
        tokens = Tokens(self._scaled[scale], positions=method.positions, modulate=method.modulate)
        return inputs.fill(self._slot, tokens)


class _Weighed(_Bound):
    """Weighs its keys as well: above 1, or ``always``, so that compiled blocks need one graph."""

    def __init__(self, method: Default, reference: BoundReference, *, always: bool) -> None:
        super().__init__(method, reference)
        self._one = self._latents.new_ones(()).float()
        self._always = always

    @hookimpl
    def refhooks_attention(self, ctx: Context) -> list[AttentionEdit] | None:
        strength = ctx.rows[self._slot].strength
        if strength == 1.0 or (strength < 1.0 and not self._always):
            return None
        return [AttentionEdit(self._slot, weight=self._one * max(strength, 1.0))]


@hookimpl
def refhooks_methods() -> list[type[Method]]:
    """Register the method."""
    return [Default]
