"""Doing a thing once in a command or a call: reading a picture, drawing a cover, reading a text.

What is kept lives as long as the outermost :func:`keeping` of this thread, and no longer: a file
that changes between two calls is read again.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

T = TypeVar("T")

MAX_KEPT: Final = 2**29  # bytes; what is beyond is made anew each time


class _Kept:
    def __init__(self) -> None:
        self.values: dict[Hashable, tuple[Any, object]] = {}
        self.bytes = 0


_kept: ContextVar[_Kept | None] = ContextVar("kept", default=None)


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """Keep what :func:`once` makes inside; within another one, that one keeps it."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set(_Kept())
    try:
        yield
    finally:
        _kept.reset(token)


def once(
    key: Hashable, make: Callable[[], T], *, size: Callable[[T], int], holding: object = None
) -> T:
    """Return what ``make()`` returns, made once for a key; outside of :func:`keeping`, each time.

    Args:
        key: Says all that the value depends on.
        make: What it raises is raised, and nothing is kept.
        size: About how many bytes the value takes.
        holding: What must live as long, such as an object whose ``id`` is in the key.
    """
    kept = _kept.get()
    if kept is None:
        return make()
    if key in kept.values:
        value: T = kept.values[key][0]
        return value
    value = make()
    if kept.bytes + size(value) <= MAX_KEPT:
        kept.bytes += size(value)
        kept.values[key] = (value, holding)
    return value
