"""What the numbers of an edit may be: steps, cfg, denoise, seed and strength.

Each is read by one function here, wherever a user says it. ``of`` is whose number it is, such as
``an edit's``, for the message; nothing stands for the arguments of ``edit()`` themselves.
"""

from __future__ import annotations

import numbers
from typing import Any, Final

from refhooks._base.numbers import number, whole
from refhooks._base.shown import shown
from refhooks.errors import InputError, StrategyError

__all__ = [
    "MAX_CFG",
    "MAX_DENOISE",
    "MAX_SEED",
    "MAX_STEPS",
    "MAX_STRENGTH",
    "read_cfg",
    "read_denoise",
    "read_seed",
    "read_steps",
    "read_strength",
]

MAX_STEPS: Final = 1000
MAX_CFG: Final = 100
MAX_DENOISE: Final = 1.0
MAX_SEED: Final = 2**63 - 1
MAX_STRENGTH: Final = 2.0


def read_steps(value: Any, of: str = "") -> int:
    """Return a number of steps, 1–1000.

    Raises:
        InputError: It is none.
    """
    return whole(value, _named("steps", of), 1, MAX_STEPS)


def read_seed(value: Any, of: str = "", high: int = MAX_SEED) -> int:
    """Return a seed from 0 to ``high``, which leaves room for those that are counted from it.

    Raises:
        InputError: It is none.
    """
    if hasattr(value, "initial_seed"):
        raise InputError(
            f"{_named('seed', of)} must be a whole number, got a Generator; give it the number that"
            " manual_seed was given"
        )
    return whole(value, _named("seed", of), 0, high)


def read_cfg(value: Any, of: str = "") -> float:
    """Return a guidance scale, 0–100.

    Raises:
        InputError: It is none; a :class:`StrategyError` where it is part of something.
    """
    if of:
        return number(value, _named("cfg", of), 0.0, MAX_CFG)
    if not _is_real(value) or not 0 <= value <= MAX_CFG:
        raise InputError(
            f"cfg must be a number from 0 to 100 (1 and below: off), got {shown(value)}"
        )
    return float(value)


def read_denoise(value: Any, of: str = "") -> float:
    """Return a denoise, above 0, up to 1.

    Raises:
        InputError: It is none; a :class:`StrategyError` where it is part of something.
    """
    if of:
        denoise = number(value, _named("denoise", of), 0.0, MAX_DENOISE)
        if denoise == 0.0:
            raise StrategyError(f"{_named('denoise', of)} must be above 0, up to 1; got 0")
        return denoise
    if not _is_real(value) or not 0.0 < value <= MAX_DENOISE:
        raise InputError(f"denoise must be a number above 0, up to 1; got {shown(value)}")
    return float(value)


def read_strength(value: Any, of: str = "") -> float:
    """Return a strength, 0–2.

    Raises:
        StrategyError: It is none.
    """
    return number(value, _named("strength", of), 0.0, MAX_STRENGTH)


def _named(name: str, of: str) -> str:
    return f"{of} {name}" if of else name


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
