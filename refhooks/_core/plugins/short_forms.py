"""Short forms, such as ``0.4:1.0`` for a schedule: every class that has one is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks._base.advice import warn_user
from refhooks._base.shown import shown, told
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_by(
    kind: str, function: str, classes: Mapping[str, type[Any]], value: Any, label: str
) -> dict[str, Any]:
    """Ask every class for its short form of a value; what they made of it, by name.

    Raises:
        InputError: None made anything, and one of them refuses the value or fails.
    """
    readings: dict[str, Any] = {}
    refused: dict[str, Exception] = {}
    for name, cls in sorted(classes.items()):
        try:
            reading = getattr(cls, function)(value) if hasattr(cls, function) else None
        except Exception as error:  # noqa: BLE001  the others are asked as well
            refused[name] = error
            continue
        if reading is not None:
            readings[name] = reading
    if refused and not readings:
        reasons = "; ".join(f"{kind} {name!r}: {told(reason)}" for name, reason in refused.items())
        raise InputError(f"{label}{reasons}") from next(iter(refused.values()))
    for name, failure in refused.items():
        warn_user(
            f"{kind} {name!r} fails where it is asked whether {shown(value)} is its short form:"
            f" {type(failure).__name__}: {told(failure)}"
        )
    return readings
