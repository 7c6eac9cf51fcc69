"""Other ways of guidance: the guiders of diffusers that work on packed latents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs
from attrs import validators

from refhooks import InputError, hookimpl, warn_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from refhooks import Context, RunInfo, RunPlugin

__all__ = ["Guider"]

KINDS: Final = {
    "apg": "AdaptiveProjectedGuidance",
    "apg-mix": "AdaptiveProjectedMixGuidance",
    "cfg": "ClassifierFreeGuidance",
    "cfg-zero": "ClassifierFreeZeroStarGuidance",
    "mambag": "MagnitudeAwareGuidance",
    "tcfg": "TangentialClassifierFreeGuidance",
}
REFUSED: Final = {
    "auto": "it runs a second model",
    "fdg": "it needs latents laid out as a picture",
    "ltx2": "it is for video and sound",
    "pag": "it runs the model with attention perturbed",
    "seg": "it runs the model with attention blurred",
    "slg": "it runs the model with layers left out",
}
_SETTINGS: Final = {
    "rescale": (*KINDS,),
    "momentum": ("apg", "apg-mix"),
    "eta": ("apg", "apg-mix"),
    "alpha": ("mambag",),
    "zero_steps": ("cfg-zero",),
}


def _known(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or value not in KINDS:
        reason = REFUSED.get(value) if isinstance(value, str) else None
        known = ", ".join(KINDS)
        if reason is not None:
            raise ValueError(f"kind {value!r} cannot be used here: {reason}; there are {known}")
        raise ValueError(f"kind must be one of {known}; got {value!r:.80}")


def _number(low: float, high: float, *, optional: bool = False) -> Any:
    def check(_: object, field: attrs.Attribute[Any], value: Any) -> None:
        whole = isinstance(value, int | float) and not isinstance(value, bool)
        if optional and value is None:
            return
        if not (whole and math.isfinite(value) and low <= value <= high):
            raise ValueError(f"{field.name} must be from {low:g} to {high:g}, got {value!r:.80}")

    return check


@attrs.frozen
class Guider:
    """Combines the predictions with the prompt and with the negative one as a guider of diffusers.

    It takes the place of the family's own guidance, from ``start`` to ``stop``; outside, there is
    none. Both predictions have to be there: ``cfg`` of the edit above 1, or a schedule of it, whose
    number then only says at which steps. diffusers calls its guiders experimental. The formulas are
    theirs: APG (arXiv 2410.02416), APG-mix (of HunyuanImage 2.1), CFG, CFG-Zero* (arXiv
    2503.18886), MambaG (arXiv 2508.03442), TCFG (arXiv 2503.18137). Unlike the Qwen pipelines,
    ``cfg`` does not set the norm of what comes out back to that of the conditional prediction.

    Attributes:
        kind: ``apg``, ``apg-mix``, ``cfg``, ``cfg-zero``, ``mambag`` or ``tcfg``.
        scale: Guidance scale, 0–30.
        start: Progress of the run, 0–1, from which it acts.
        stop: Likewise, to which.
        rescale: How much of the conditional prediction's deviation is given back, 0–1.
        momentum: Of ``apg`` and ``apg-mix``, −1 to 1; ``None``: diffusers' own default.
        eta: Of these: how much of the part along the conditional prediction is kept, 0–1.
        alpha: Of ``mambag``: how fast it weakens with the size of the difference, 0–100.
        zero_steps: Of ``cfg-zero``: first steps at which nothing moves, 0–1000.
    """

    name: ClassVar[str] = "guider"
    edits_attention: ClassVar[bool] = False

    kind: str = attrs.field(validator=_known)
    scale: float = attrs.field(default=4.0, validator=_number(0.0, 30.0))
    start: float = attrs.field(default=0.0, validator=_number(0.0, 1.0))
    stop: float = attrs.field(default=1.0, validator=_number(0.0, 1.0))
    rescale: float | None = attrs.field(default=None, validator=_number(0.0, 1.0, optional=True))
    momentum: float | None = attrs.field(default=None, validator=_number(-1.0, 1.0, optional=True))
    eta: float | None = attrs.field(default=None, validator=_number(0.0, 1.0, optional=True))
    alpha: float | None = attrs.field(default=None, validator=_number(0.0, 100.0, optional=True))
    zero_steps: int | None = attrs.field(
        default=None,
        validator=validators.optional(
            validators.and_(validators.instance_of(int), _number(0, 1000))
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what a kind does not have, and a window of nothing."""
        if not self.start < self.stop:
            raise InputError(f"guider: stop must be above start, {self.start:g}; got {self.stop:g}")
        for name, kinds in _SETTINGS.items():
            if getattr(self, name) is not None and self.kind not in kinds:
                raise InputError(
                    f"guider: {name} is for {' and '.join(kinds)}, not for {self.kind}; leave it"
                    " out"
                )

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"kind": kind} for kind in KINDS]

    def bind_run(self, run: RunInfo) -> Any:
        """Return the object that combines the predictions; it warns where there is but one."""
        alone = not any(branch.name == "uncond" for branch in run.branches)
        return _Guided(self._guider(), len(run.sigmas), alone=alone)

    def _guider(self) -> Any:
        import logging  # noqa: PLC0415

        from diffusers import guiders  # noqa: PLC0415  plugins load without it

        own = {
            "guidance_rescale": self.rescale,
            "adaptive_projected_guidance_momentum": self.momentum,
            "eta": self.eta,
            "alpha": self.alpha,
            "zero_init_steps": self.zero_steps,
        }
        given = {name: value for name, value in own.items() if value is not None}
        scales = {"guidance_scale": self.scale}
        if self.kind == "apg-mix":
            scales["adaptive_projected_guidance_scale"] = self.scale
        log = logging.getLogger("diffusers.guiders.guider_utils")  # says at each that it may change
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            return getattr(guiders, KINDS[self.kind])(
                **scales, **given, start=self.start, stop=self.stop
            )
        finally:
            log.setLevel(level)


class _Guided:
    def __init__(self, guider: Any, steps: int, *, alone: bool) -> None:
        self._alone = alone
        self._guider = guider
        self._steps = steps

    @hookimpl(tryfirst=True)  # it takes the place of the family's; methods add theirs to it
    def refhooks_velocity(self, ctx: Context, predictions: Mapping[str, Tensor]) -> Tensor | None:
        if self._alone and ctx.step.index == 0:
            warn_user(
                "guider does nothing in this run: it needs the prediction with the negative prompt"
                " beside the other; give the edit a cfg above 1, on a model that takes one"
            )
        if "uncond" not in predictions:
            return None  # a step at which the edit has no guidance
        self._guider.set_state(ctx.step.index, self._steps, ctx.t)
        self._guider.prepare_inputs({})  # where it starts what it carries from step to step
        cond = predictions["cond"]
        guided: Tensor = self._guider.forward(cond, predictions["uncond"]).pred
        return guided.to(cond.dtype)


@hookimpl
def refhooks_plugins() -> list[type[RunPlugin]]:
    """Register the run plugin."""
    return [Guider]
