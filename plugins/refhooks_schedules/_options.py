"""Checks of options; each says the option, what it must be and what came."""

from __future__ import annotations

import numbers
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import attrs

MAX_STRENGTH = 2.0
MAX_ENTRIES = 10_000


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number; bools are none."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def in_range(value: object, name: str, low: float, high: float) -> None:
    """Refuse what is no number from ``low`` to ``high``.

    Raises:
        ValueError: It is none.
    """
    if not is_number(value) or not low <= value <= high:  # type: ignore[operator]
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r:.80}")


def strength(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Validate a strength."""
    in_range(value, field.name, 0.0, MAX_STRENGTH)


def progress(_: object, field: attrs.Attribute[Any], value: object) -> None:
    """Validate a progress or a noise level."""
    in_range(value, field.name, 0.0, 1.0)


def numbers_of(text: str, separator: str, count: int) -> list[float] | None:
    """Return the numbers that a text consists of, or ``None`` if it does not."""
    parts = text.split(separator)
    if len(parts) != count:
        return None
    try:
        return [float(part) for part in parts]
    except ValueError:
        return None
