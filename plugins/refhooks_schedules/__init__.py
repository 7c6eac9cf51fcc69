"""Strength over the steps of a stage: curves, keyframes, a window, by noise level, a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks import hookimpl
from refhooks_schedules._curves import (
    Constant,
    Cosine,
    EaseIn,
    EaseInOut,
    EaseOut,
    FromFunction,
    Linear,
    Sigma,
)
from refhooks_schedules._frames import Keyframe, Keyframes, Steps, Window

if TYPE_CHECKING:
    from refhooks import Schedule

__all__ = [
    "Constant",
    "Cosine",
    "EaseIn",
    "EaseInOut",
    "EaseOut",
    "FromFunction",
    "Keyframe",
    "Keyframes",
    "Linear",
    "Sigma",
    "Steps",
    "Window",
]


@hookimpl
def refhooks_schedules() -> list[type[Schedule]]:
    """Register the schedules."""
    return [
        Constant,
        Linear,
        Cosine,
        EaseIn,
        EaseOut,
        EaseInOut,
        Steps,
        Keyframes,
        Window,
        Sigma,
        FromFunction,
    ]
