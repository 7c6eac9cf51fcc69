"""``FILE[:METHOD[:STRENGTH]]`` and ``FILE[:SCALE]``, where file names may hold colons."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from refhooks._strategy import MAX_STRENGTH, Reference, Stage
from refhooks.errors import InputError, StrategyError, UnknownNameError

if TYPE_CHECKING:
    from refhooks._registry import Registry


def parse_reference(text: str, registry: Registry) -> Reference:
    """Return the reference that ``--ref`` means.

    Read from the right: the tail is a method, or a method and a strength, only if the method is
    registered or what stands before it is a file.

    Raises:
        StrategyError: The strength is missing its method, or is none.
        UnknownNameError: The method is not registered.
    """
    file, name, strength = _parts(text, registry)
    if name is None:
        return Reference(text)
    label = f"--ref {text}"
    if strength is None and _number(name) is not None:
        raise StrategyError(f"{label}: name a method before the strength, as {file}:default:{name}")
    try:
        registry.method(name)
    except UnknownNameError as error:
        raise UnknownNameError(f"{label}: {error}") from error
    amount = 1.0 if strength is None else check_strength(strength, label)
    return Reference(file, Stage(name, amount))


def _parts(text: str, registry: Registry) -> tuple[str, str | None, str | None]:
    head, _, tail = text.rpartition(":")
    file, _, name = head.rpartition(":")
    if is_file(text):
        return text, None, None
    if file and name in registry.methods and _number(tail) is not None:
        return file, name, tail
    if head and (tail in registry.methods or is_file(head)):
        return head, tail, None
    if file and is_file(file):
        return file, name, tail
    return text, None, None


def parse_lora(text: str) -> tuple[Path, float]:
    """Return the file and the scale that ``--lora`` means; without one it is 1.

    Raises:
        StrategyError: The scale is no finite number.
    """
    head, _, tail = text.rpartition(":")
    scale = _number(tail)
    if is_file(text) or not head or (scale is None and not is_file(head)):
        return Path(text), 1.0
    if scale is None or not math.isfinite(scale):
        raise StrategyError(f"--lora {text}: the scale must be a number, got {tail!r}")
    return Path(head), scale


def check_strength(value: str | float, label: str) -> float:
    """Return a strength as a number.

    Raises:
        StrategyError: It is none from 0 to 2.
    """
    number = _number(value)
    if number is None or not 0.0 <= number <= MAX_STRENGTH:
        raise StrategyError(
            f"{label}: strength must be a number from 0 to {MAX_STRENGTH:g}, got {value}"
        )
    return number


def parse_strength(text: str, label: str, registry: Registry) -> float | str:
    """Return a strength as a number, or the short form of a schedule as it is.

    Raises:
        StrategyError: A number that is none from 0 to 2, or a short form that nothing reads.
    """
    if _number(text) is not None or not text:
        return check_strength(text, label)
    try:
        registry.schedule_from(text)
    except InputError as error:
        raise StrategyError(f"{label}: {error}") from error
    return text


def is_file(text: str) -> bool:
    """Return whether there is a file of that name; a name too long for one is none."""
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _number(value: str | float) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
