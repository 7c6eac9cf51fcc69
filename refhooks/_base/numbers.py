"""Numbers, and strengths over steps, as users give them."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, TypeGuard

from refhooks._base.shown import shown
from refhooks.errors import InputError, StrategyError


def number(value: Any, label: str, low: float, high: float) -> float:
    """Return a real number in ``low``–``high`` as a float; bools are no numbers here."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not low <= value <= high:
        raise StrategyError(
            f"{label} must be a number from {low:g} to {high:g}, got {shown(value)}"
        )
    return float(value)


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether a value is a list of things; a text is none."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def unwrapped(value: Any) -> Any:
    """Return what an array or tensor of at most one dimension holds, as Python's own.

    Anything else comes back as it is.
    """
    if getattr(value, "ndim", None) in (0, 1) and hasattr(value, "tolist"):
        return value.tolist()
    return value


def whole(value: Any, name: str, low: int, high: int) -> int:
    """Return a whole number in ``low``–``high``; bools are no numbers here.

    Raises:
        InputError: It is none; the message calls it ``name``.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}, got {shown(value)}")
    return int(value)
