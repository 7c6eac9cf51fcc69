"""What a user composes: stages, strategies and references, as validated values."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._bound import Method
from refhooks._schedule import Schedule, Switch
from refhooks.errors import StrategyError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

__all__ = ["Reference", "Stage", "Strategy"]

MAX_STRENGTH = 2.0
Vision = Literal["auto", "always", "never"]
_VISIONS = ("auto", "always", "never")


def method_name(method: str | Method) -> str:
    """Return the name of a method given by name or as an instance."""
    return method if isinstance(method, str) else method.name


def number(value: Any, label: str, low: float, high: float) -> float:
    """Return a real number in ``low``–``high`` as a float; bools are no numbers here."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not low <= value <= high:
        raise StrategyError(f"{label} must be a number from {low:g} to {high:g}, got {value!r:.80}")
    return float(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


@attrs.frozen
class Stage:
    """One part of a strategy: a method at a strength.

    Attributes:
        method: Registered name, or an instance, such as ``method("inject", where="input")``.
        strength: 0–2, one number for each step of the stage, a schedule, or a schedule's short form
            such as ``"0.4:1.0"``. 0 is as if the reference were not there; 1 is the model's own
            balance for methods on native tokens, and the full formula for the others.
        until: Progress of the run (above 0, up to 1) at which the stage ends, or a switch;
            ``None``: at the end of the run.

    Raises:
        StrategyError: A field is out of its range; the message names the stage's method and field.
    """

    method: str | Method = attrs.field()
    strength: float | tuple[float, ...] | Schedule | str = attrs.field(default=1.0)
    until: float | Switch | None = attrs.field(default=None, kw_only=True)

    def __init__(
        self,
        method: str | Method,
        strength: float | Sequence[float] | Schedule | str = 1.0,
        *,
        until: float | Switch | None = None,
    ) -> None:
        if not isinstance(method, str | Method) or isinstance(method, type):
            raise StrategyError(
                "a stage's method must be a registered name or a method instance,"
                f" got {method!r:.80}"
            )
        label = f"stage with method {method_name(method)!r}"
        self.__attrs_init__(  # type: ignore[attr-defined]
            method, _strength(strength, label), until=_until(until, label)
        )


def _strength(strength: Any, label: str) -> float | tuple[float, ...] | Schedule | str:
    if isinstance(strength, Schedule) and not isinstance(strength, type):
        return strength
    if isinstance(strength, str) and not _reads_as_number(strength):
        return strength
    if not _is_list(strength):
        return number(strength, f"{label}: strength", 0.0, MAX_STRENGTH)
    if not strength:
        raise StrategyError(f"{label}: strength is an empty list; give a number or one a step")
    return tuple(
        number(value, f"{label}: strength[{place}]", 0.0, MAX_STRENGTH)
        for place, value in enumerate(strength)
    )


def _reads_as_number(text: str) -> bool:
    """A number in quotes is a slip; what a short form means, a plugin says when it is compiled."""
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _until(until: Any, label: str) -> float | Switch | None:
    if until is None or (isinstance(until, Switch) and not isinstance(until, type)):
        return until
    end = number(until, f"{label}: until", 0.0, 1.0)
    if end == 0.0:
        raise StrategyError(f"{label}: until must be above 0, got 0: the stage would be empty")
    return end


def _stages(stages: Any) -> tuple[Stage, ...]:
    listed = tuple(stages) if _is_list(stages) else (stages,)
    if not listed:
        raise StrategyError("a strategy needs at least one stage")
    return tuple(stage if isinstance(stage, Stage) else Stage(stage) for stage in listed)


@attrs.frozen
class Strategy:
    """What happens with one reference over a run.

    Attributes:
        stages: One or more, in order; where ``until`` is a number it is above those before, and
            only the last stage may have none.
        vision: Whether the text encoder sees the picture: ``auto`` (if the strength is above 0 at
            any step), ``always`` or ``never``. Decided once a run; strength does not scale it.

    Raises:
        StrategyError: No stage, ends that do not rise, or an unknown ``vision``.
    """

    stages: tuple[Stage, ...] = attrs.field(converter=_stages)
    vision: Vision = attrs.field(default="auto", kw_only=True)

    @vision.validator
    def _known_vision(self, _: object, value: object) -> None:
        if value not in _VISIONS:
            raise StrategyError(f"vision must be one of {', '.join(_VISIONS)}; got {value!r}")

    @stages.validator
    def _ends_rise(self, _: object, stages: tuple[Stage, ...]) -> None:
        before = 0.0
        for number, stage in enumerate(stages, 1):
            label = f"stage {number} of {len(stages)} (method {method_name(stage.method)!r})"
            if stage.until is None and number < len(stages):
                raise StrategyError(f"{label}: until is missing; only the last stage may have none")
            if not isinstance(stage.until, float):
                continue
            if stage.until <= before:
                raise StrategyError(
                    f"{label}: until must be above that of the stage before, {before:g};"
                    f" got {stage.until:g}"
                )
            before = stage.until


def as_strategy(value: Any, native: str) -> Strategy:
    """Return the strategy a user meant.

    Args:
        value: A strategy, a stage, a method, its name, or ``None``: the native method at 1.
        native: The family's native method.
    """
    if value is None:
        return Strategy([Stage(native)])
    return value if isinstance(value, Strategy) else Strategy(value)


@attrs.frozen
class Reference:
    """A picture that steers the edit, with its own strategy.

    Attributes:
        image: Path or PIL picture.
        strategy: A strategy, stage, method or its name; ``None``: the family's native method at 1.
        resolution: Pixel area at which the VAE encodes it, ``"native"`` for its own size, or
            ``None`` for the checkpoint's policy.
    """

    image: str | Path | Image
    strategy: Strategy | Stage | Method | str | None = None
    resolution: int | Literal["native"] | None = attrs.field(default=None, kw_only=True)

    @resolution.validator
    def _area(self, _: object, value: object) -> None:
        whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if value is not None and value != "native" and not whole:
            raise StrategyError(
                f"a reference's resolution must be a pixel area or 'native', got {value!r}"
            )
