"""Guidance scales over the steps of a run, as users write them."""

from __future__ import annotations

import itertools
import numbers
from typing import Any

from refhooks._base.numbers import is_list, unwrapped
from refhooks._base.shown import shown
from refhooks.errors import InputError

__all__ = ["FORMS", "parsed", "read_scales", "remark_on_scales", "scales_over"]

FORMS = "as PROGRESS@SCALE,..., START:END, or SCALE,SCALE,... (one a step)"

MAX_SPANS = 6  # that a remark tells


def read_scales(value: Any, high: float, label: str = "cfg") -> float | str:
    """Return a scale, or scales over the steps in their short form.

    ``0.5@4``: 1 until progress .5, 4 from there on; each holds until the next. ``1:4``: a straight
    line from the first step to the last. ``1,1,4,4``, or a list: one a step.

    Args:
        value: A number, a text or a list.
        high: The largest scale.
        label: How messages name it.

    Raises:
        InputError: It is none of these, a scale is not from 0 to ``high``, or places do not rise.
    """
    value = unwrapped(value)
    if is_list(value):
        value = ",".join(repr(_within(entry, high, label)) for entry in value)
    if not isinstance(value, str):
        return _within(value, high, label)
    text = value.replace(" ", "")
    if _number(text) is not None:  # a number in quotes is a slip
        raise InputError(f"{_must(high, label)}; got {shown(value)}")
    try:
        parts = _parts(text)
    except ValueError as error:
        reason = f": {error}" if str(error) else ""
        raise InputError(f"{_must(high, label)}; got {shown(value)}{reason}") from error
    for entry in parts:
        for scale in entry[-1:] if "@" in text else entry:
            _within(scale, high, label)
    return text


def parsed(text: str) -> float | str:
    """Return what a command was given: a number where it is one."""
    number = _number(text)
    return text if number is None else number


def scales_over(form: float | str, total: int, label: str = "cfg") -> tuple[float, ...]:
    """Return the scale at each of ``total`` steps.

    Args:
        form: As :func:`read_scales` returns it.
        total: ``N``; the progress of step ``k``, from 0, is ``k / N``.
        label: How messages name it.

    Raises:
        InputError: It lists one a step for another number of steps.
    """
    if isinstance(form, float):
        return (form,) * total
    parts = _parts(form)
    if "@" in form:
        frames = [(0.0, 1.0), *[(entry[0], entry[1]) for entry in parts]]
        return tuple(
            [next(s for p, s in reversed(frames) if p <= step / total) for step in range(total)]
        )
    if ":" in form:
        start, end = parts[0]
        return tuple([start + (end - start) * k / max(1, total - 1) for k in range(total)])
    if len(parts) != total:
        raise InputError(f"{label} lists {len(parts)} scales, but the run has {total} steps")
    return tuple([entry[0] for entry in parts])


def remark_on_scales(scales: tuple[float, ...]) -> str:
    """Return what a plan says of scales that differ over the steps."""
    spans, start = [], 0
    for scale, group in itertools.groupby(scales):
        stop = start + len(list(group))
        steps = f"step {stop}" if stop == start + 1 else f"steps {start + 1}-{stop}"
        spans.append(f"{f'{scale:g}' if scale > 1.0 else 'off'} at {steps}")
        start = stop
    saved = sum(scale <= 1.0 for scale in scales)
    shown_spans = spans if len(spans) <= MAX_SPANS else [*spans[:MAX_SPANS], "..."]
    total = 2 * len(scales)
    return f"guidance {', '.join(shown_spans)}: {total - saved} of {total} passes"


def _parts(text: str) -> list[list[float]]:
    """The numbers of each part of a short form."""
    mark = "@" if "@" in text else ":"
    count = 2 if mark in text else 1
    parts = [[it for it in map(_number, part.split(mark)) if it is not None]
             for part in text.split(",")]  # fmt: skip
    if any(len(part) != count for part in parts) or text.count(mark) != len(parts) * (count - 1):
        raise ValueError
    if mark == "@":
        places = [part[0] for part in parts]
        rising = all(one < other for one, other in itertools.pairwise(places))
        if not rising or not 0.0 <= places[0] <= places[-1] < 1.0:
            raise ValueError("progress goes from 0 to below 1, and rises")
    elif mark in text and len(parts) > 1:
        raise ValueError
    return parts


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _within(value: Any, high: float, label: str) -> float:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0.0 <= value <= high:
        raise InputError(f"{_must(high, label)}; got {shown(value)}")
    return float(value)


def _must(high: float, label: str) -> str:
    return (
        f"{label} must be a number from 0 to {high:g} (1 and below: off), or over the steps {FORMS}"
    )
