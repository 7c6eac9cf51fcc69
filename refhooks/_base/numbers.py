"""Numbers, and strengths over steps, as users give them."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, TypeGuard

from refhooks._core.contract.protocols import Schedule
from refhooks.errors import StrategyError

MAX_STRENGTH = 2.0


def number(value: Any, label: str, low: float, high: float) -> float:
    """Return a real number in ``low``–``high`` as a float; bools are no numbers here."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not low <= value <= high:
        raise StrategyError(f"{label} must be a number from {low:g} to {high:g}, got {value!r:.80}")
    return float(value)


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether a value is a list of things; a text is none."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def strengths(strength: Any, label: str, high: float) -> float | tuple[float, ...] | Schedule | str:
    """Return a strength as a number, one a step, a schedule, or the short form of one.

    Raises:
        StrategyError: It is none of these, or a number is not in 0–``high``.
    """
    if isinstance(strength, Schedule) and not isinstance(strength, type):
        return strength
    if isinstance(strength, str) and not _reads_as_number(strength):
        return strength
    if not is_list(strength):
        return number(strength, label, 0.0, high)
    if not strength:
        raise StrategyError(f"{label} is an empty list; give a number or one a step")
    return tuple(
        number(value, f"{label}[{place}]", 0.0, high) for place, value in enumerate(strength)
    )


def _reads_as_number(text: str) -> bool:
    """A number in quotes is a slip; what a short form means, a plugin says when it is compiled."""
    try:
        float(text or "0")
    except ValueError:
        return False
    return True
