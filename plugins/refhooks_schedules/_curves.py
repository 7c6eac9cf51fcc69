"""Schedules that go from one strength to another, or stay at one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from refhooks_schedules._options import in_range, is_number, numbers_of, progress, strength

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from refhooks import StageStep

__all__ = [
    "Constant",
    "Cosine",
    "EaseIn",
    "EaseInOut",
    "EaseOut",
    "FromFunction",
    "Linear",
    "Sigma",
]


@attrs.frozen
class Constant:
    """``value`` at every step; the same as a plain number.

    Attributes:
        value: 0–2.
    """

    name: ClassVar[str] = "constant"

    value: float = attrs.field(validator=strength)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"value": 0.7}]

    def strength(self, step: StageStep) -> float:
        """Return the value."""
        del step
        return self.value


@attrs.frozen
class _Curve:
    """``start + (end − start)·f(p)`` with ``p`` the stage's progress."""

    name: ClassVar[str]
    short: ClassVar[str]

    start: float = attrs.field(validator=strength)
    end: float = attrs.field(validator=strength)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"start": 0.4, "end": 1.0}]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what ``START:END:NAME`` means, or ``None``."""
        head, _, name = text.rpartition(":")
        ends = numbers_of(head, ":", 2) if name == cls.name else None
        return None if ends is None else cls(*ends)

    def strength(self, step: StageStep) -> float:
        """Return the strength at the step's progress in its stage."""
        return self.start + (self.end - self.start) * self._share(step.progress)

    def _share(self, place: float) -> float:
        raise NotImplementedError


@attrs.frozen
class Linear(_Curve):
    """``start + (end − start)·p``: a straight line.

    Attributes:
        start: Strength at the stage's first step, 0–2.
        end: Strength at its last, 0–2.
    """

    name: ClassVar[str] = "linear"
    short: ClassVar[str] = "START:END"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what ``START:END`` or ``START:END:linear`` means, or ``None``."""
        ends = numbers_of(text.removesuffix(f":{cls.name}"), ":", 2)
        return None if ends is None else cls(*ends)

    def _share(self, place: float) -> float:
        return place


@attrs.frozen
class Cosine(_Curve):
    """``start + (end − start)·(1 − cos πp)/2``: slow at both ends, steepest in the middle.

    Attributes:
        start: Strength at the stage's first step, 0–2.
        end: Strength at its last, 0–2.
    """

    name: ClassVar[str] = "cosine"
    short: ClassVar[str] = "START:END:cosine"

    def _share(self, place: float) -> float:
        return (1.0 - math.cos(math.pi * place)) / 2.0


@attrs.frozen
class _Eased(_Curve):
    power: float = attrs.field(default=2.0)

    @power.validator
    def _at_least_one(self, _: object, value: object) -> None:
        in_range(value, "power", 1.0, 10.0)


@attrs.frozen
class EaseIn(_Eased):
    """``start + (end − start)·p^power``: starts slowly.

    Attributes:
        start: Strength at the stage's first step, 0–2.
        end: Strength at its last, 0–2.
        power: 1 (straight) to 10.
    """

    name: ClassVar[str] = "ease-in"
    short: ClassVar[str] = "START:END:ease-in"

    def _share(self, place: float) -> float:
        return float(place**self.power)


@attrs.frozen
class EaseOut(_Eased):
    """``start + (end − start)·(1 − (1 − p)^power)``: ends slowly.

    Attributes:
        start: Strength at the stage's first step, 0–2.
        end: Strength at its last, 0–2.
        power: 1 (straight) to 10.
    """

    name: ClassVar[str] = "ease-out"
    short: ClassVar[str] = "START:END:ease-out"

    def _share(self, place: float) -> float:
        return float(1.0 - (1.0 - place) ** self.power)


@attrs.frozen
class EaseInOut(_Eased):
    """``start + (end − start)·g``, ``g = (2p)^power/2`` and the same turned round from p = ½ on.

    Attributes:
        start: Strength at the stage's first step, 0–2.
        end: Strength at its last, 0–2.
        power: 1 (straight) to 10.
    """

    name: ClassVar[str] = "ease-in-out"
    short: ClassVar[str] = "START:END:ease-in-out"

    def _share(self, place: float) -> float:
        if place < 0.5:
            return float((2.0 * place) ** self.power / 2.0)
        return float(1.0 - (2.0 - 2.0 * place) ** self.power / 2.0)


@attrs.frozen
class Sigma:
    """``start + (end − start)·u``, ``u = (above − sigma)/(above − below)`` cut to 0–1.

    It follows the noise level rather than the count of steps, so it means the same at 4 and at 50
    steps, and at every shift of the scheduler.

    Attributes:
        start: Strength while sigma is at ``above`` or higher, 0–2.
        end: Strength once sigma is at ``below`` or lower, 0–2.
        above: Noise level from which on the strength moves, up to 1.
        below: Noise level at which it has arrived, from 0.
    """

    name: ClassVar[str] = "sigma"

    start: float = attrs.field(validator=strength)
    end: float = attrs.field(validator=strength)
    above: float = attrs.field(default=1.0, validator=progress)
    below: float = attrs.field(default=0.0, validator=progress)

    @below.validator
    def _falls(self, _: object, value: float) -> None:
        if is_number(self.above) and value >= self.above:
            raise ValueError(f"below must be less than above, {self.above:g}; got {value:g}")

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"start": 0.4, "end": 1.0}]

    def strength(self, step: StageStep) -> float:
        """Return the strength at the step's noise level."""
        share = (self.above - step.sigma) / (self.above - self.below)
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))


@attrs.frozen
class FromFunction:
    """What a Python function of the step returns.

    No file can hold a function: ``dump_strategy(..., timetable=result.timetable)`` writes the
    values that it gave.

    Attributes:
        function: Called as ``function(step)`` with a :class:`refhooks.StageStep`; returns 0–2.
    """

    name: ClassVar[str] = "callable"
    calls: ClassVar[str] = "function"

    function: Callable[[StageStep], float] = attrs.field()

    @function.validator
    def _can_be_called(self, _: object, value: Any) -> None:
        if not callable(value):
            raise TypeError(f"function must be callable as function(step), got {value!r:.80}")

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"function": lambda step: 2.0 * step.progress}]

    def strength(self, step: StageStep) -> float:
        """Return what the function returns."""
        return self.function(step)
