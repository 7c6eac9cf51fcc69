"""``FILE[:METHOD[:STRENGTH]]``, ``FILE[:SCALE]``, ``NAME[:OPTION=VALUE]``; all may hold colons."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refhooks._apps.grids.fields import plain_value, with_options
from refhooks._base.files import is_file
from refhooks._base.shown import shown
from refhooks._core.planning.bounds import MAX_STRENGTH
from refhooks._core.planning.strategy import Reference, Stage
from refhooks.errors import InputError, StrategyError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.methods import Method, RunPlugin
    from refhooks._core.plugins.registry import Registry


def parse_reference(text: str, registry: Registry) -> Reference:
    """Return the reference that ``--ref`` means.

    A file's name may hold colons, and so may a strength over the steps. Of several readings, the
    one with the longest file that is there is meant; if none is there, the one with the method
    furthest to the right.

    Raises:
        StrategyError: The strength is missing its method, or is none.
        UnknownNameError: The method is not registered.
    """
    file, tail = _split(text, registry)
    if tail is None:
        return Reference(text)
    label = f"--ref {text}"
    name, colon, strength = tail.partition(":")
    if name not in registry.methods and _is_strength(tail, registry):
        raise StrategyError(f"{label}: name a method before the strength, as {file}:default:{tail}")
    try:
        registry.method(name)
    except UnknownNameError as error:
        raise UnknownNameError(f"{label}: {error}") from error
    return Reference(file, Stage(name, parse_strength(strength, label, registry) if colon else 1.0))


def parse_method(method: str | Method, texts: Sequence[str], registry: Registry) -> str | Method:
    """Return a method with the options that ``--option NAME=VALUE`` gives it.

    Raises:
        InputError: An option has no value, is there twice, is none of the method's, or is refused.
        UnknownNameError: The method is not registered.
    """
    made = with_options(method, _options(texts, "--option"), registry)
    return made if texts else method


def parse_plugin(text: str, registry: Registry) -> RunPlugin:
    """Return the run plugin that ``--plugin NAME:OPTION=VALUE,OPTION=VALUE`` means.

    Raises:
        InputError: An option has no value, is there twice, is none of the plugin's, or is refused.
        UnknownNameError: The run plugin is not registered.
    """
    name, colon, rest = text.partition(":")
    parts = rest.split(";" if ";" in rest else ",") if colon else []
    return registry.plugin(name, _options(parts, f"--plugin {text}"))


def _options(texts: Sequence[str], label: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise InputError(f"{label}: an option is written NAME=VALUE, got {shown(text)}")
        if name in options:
            raise InputError(f"{label}: option {name!r} is there twice")
        options[name] = plain_value(value)
    return options


def _split(text: str, registry: Registry) -> tuple[str, str | None]:
    """Return the file, and what stands behind its colon; ``None``: the text is all file."""
    if is_file(text):
        return text, None
    places = [place for place, letter in enumerate(text) if letter == ":" and place]
    readings = [(text[:place], text[place + 1 :]) for place in reversed(places)]
    there = [(file, tail) for file, tail in readings if is_file(file)]
    for file, tail in there:
        if tail.partition(":")[0] in registry.methods:
            return file, tail
    if there:
        return there[0]
    for file, tail in readings:
        name, colon, strength = tail.partition(":")
        if name in registry.methods and (not colon or _is_strength(strength, registry)):
            return file, tail
    return text, None


def _is_strength(text: str, registry: Registry) -> bool:
    """Whether a text is a number, in range or not, or the short form of a schedule."""
    if _number(text) is not None:
        return True
    try:
        registry.schedule_from(text)
    except InputError:
        return False
    return True


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


def _number(value: str | float) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
