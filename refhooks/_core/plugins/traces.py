"""``REFHOOKS_TRACE=1``: a line on stderr for each call of a hook."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

__all__ = ["TRACE", "Trace", "tracing"]

TRACE = "REFHOOKS_TRACE"
Trace = Callable[[Any, str, str, "float | None", Any, float], None]


def tracing() -> Trace | None:
    """Return what is told of each call, if the environment asks for it."""
    return write if os.environ.get(TRACE, "0") not in ("", "0") else None


def write(
    step: Any, hook: str, plugin: str, strength: float | None, returned: Any, seconds: float
) -> None:
    """Write a line.

    Args:
        step: A :class:`refhooks.Step`, at which the hook was called.
        hook: Its name.
        plugin: As messages name it.
        strength: Of the plugin's reference at the step; ``None`` if it has none.
        returned: What came back; its tensors are told by their shapes.
        seconds: Host time of the call; what a device has still to do is not in it.
    """
    print(  # noqa: T201  it is what was asked for
        f"step {step.index + 1}/{step.total}  {hook}  {plugin}",
        *([] if strength is None else [f"strength {strength:g}"]),
        f"-> {', '.join(shapes(returned, '')) or 'unchanged'}",
        f"{1000.0 * seconds:.2f} ms",
        sep="  ",
        file=sys.stderr,
    )


def shapes(value: Any, name: str) -> Iterator[str]:
    """Yield the shape of every tensor in a value, after where it is; other values by their type."""
    if hasattr(value, "shape"):
        yield f"{name} {list(value.shape)}".strip()
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from shapes(entry, f"{name}[{key}]")
    elif isinstance(value, list | tuple):
        for place, entry in enumerate(value):
            yield from shapes(entry, f"{name}[{place}]")
    elif attrs.has(type(value)):
        yield from _fields(value, name)


def _fields(value: Any, name: str) -> Iterator[str]:
    parts = [
        part
        for field in attrs.fields(type(value))
        for part in shapes(getattr(value, field.name), f"{name}.{field.name}".lstrip("."))
    ]
    yield from parts or [f"{name} {type(value).__name__}".strip()]
