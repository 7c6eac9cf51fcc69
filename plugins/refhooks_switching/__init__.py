"""When a stage ends: at a progress of the run, below a noise level, or when a function says so."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from refhooks import StageStep, Switch

__all__ = ["FromFunction", "Progress", "Sigma"]


def _above_zero(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0.0 < value <= 1.0:
        raise ValueError(f"{field.name} must be a number above 0, up to 1; got {value!r:.80}")


@attrs.frozen
class Progress:
    """Ends a stage at the first step whose progress in the run, ``index / total``, is ``at``.

    ``Stage(until=0.5)`` is short for it: another method after half of the steps.

    Attributes:
        at: Above 0, up to 1.
    """

    name: ClassVar[str] = "progress"
    number: ClassVar[str] = "at"

    at: float = attrs.field(validator=_above_zero)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"at": 0.5}]

    def ended(self, step: StageStep) -> bool:
        """Return whether the run has come that far."""
        return bool(step.run.progress >= self.at)


@attrs.frozen
class Sigma:
    """Ends a stage at the first step whose noise level is below ``below``.

    Pictures settle at noise levels, not at counts of steps: with a shifted scheduler, half of the
    steps may pass while sigma is still above 0.7.

    Attributes:
        below: Above 0, up to 1.
    """

    name: ClassVar[str] = "sigma"

    below: float = attrs.field(validator=_above_zero)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"below": 0.5}]

    def ended(self, step: StageStep) -> bool:
        """Return whether the noise level is below the bound."""
        return bool(step.sigma < self.below)


@attrs.frozen
class FromFunction:
    """Ends a stage at the first step for which a Python function returns true.

    Attributes:
        function: Called as ``function(step)`` with a :class:`refhooks.StageStep`.
    """

    name: ClassVar[str] = "callable"
    calls: ClassVar[str] = "function"

    function: Callable[[StageStep], object] = attrs.field()

    @function.validator
    def _can_be_called(self, _: object, value: Any) -> None:
        if not callable(value):
            raise TypeError(f"function must be callable as function(step), got {value!r:.80}")

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"function": lambda step: step.sigma < 0.5}]

    def ended(self, step: StageStep) -> bool:
        """Return what the function returns, as a bool."""
        return bool(self.function(step))


@hookimpl
def refhooks_switches() -> list[type[Switch]]:
    """Register the switches."""
    return [Progress, Sigma, FromFunction]
