"""Warnings for users, and leaving them out for a while.

``warnings.catch_warnings`` changes the filters of the whole process: two threads that take turns in
it leave filters behind. What is left out here is left out for this thread alone.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from refhooks.errors import RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["caller", "is_silent", "libraries_silenced", "silenced", "warn_user"]

_silent: ContextVar[bool] = ContextVar("silent", default=False)
_libraries_silent: ContextVar[bool] = ContextVar("libraries_silent", default=False)
_guard = threading.Lock()

# What wraps functions of refhooks: no line of it is one that a user wrote.
_BETWEEN = frozenset({"attr", "contextlib", "functools", "torch"})


def is_silent() -> bool:
    """Return whether this thread leaves warnings out."""
    return _silent.get()


def warn_user(message: str) -> None:
    """Warn with :class:`refhooks.RefhooksWarning`, at the line that called refhooks.

    As other warnings do, it appears once for each such line and message, unless filters say else.
    """
    if _silent.get():
        return
    frame = caller()
    if frame is None:  # nothing but refhooks, as where a thread of its own runs
        warnings.warn(message, RefhooksWarning, stacklevel=2)
        return
    warnings.warn_explicit(
        message,
        RefhooksWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def caller() -> FrameType | None:
    """Return the frame that called refhooks: the one outside of its outermost frame."""
    frame, found = inspect.currentframe(), None
    while frame is not None:
        if _is_ours(frame):
            found = frame
        frame = frame.f_back
    while found is not None and (_is_ours(found) or _is_between(found)):
        found = found.f_back
    return found


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_ours(frame: FrameType) -> bool:
    return _package(frame) == "refhooks" or _package(frame).startswith("refhooks_")


def _is_between(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<attrs") or _package(frame) in _BETWEEN


class silenced:  # noqa: N801  it reads as a function
    """Leave out what refhooks would warn of."""

    def __enter__(self) -> None:
        self._token = _silent.set(True)

    def __exit__(self, *_: object) -> None:
        _silent.reset(self._token)


class libraries_silenced:  # noqa: N801  it reads as a function
    """Leave out what libraries warn of by ``warnings.warn``, in this thread alone.

    Meanwhile ``warnings.warn`` is a function that passes on what other threads warn of, as it
    comes. Filters are not touched, and what they make an error of is no error here.
    """

    users = 0
    passes_on: Callable[..., None] | None = None
    """What was there before; kept where other code has put something around it since."""

    def __enter__(self) -> None:
        self._token = _libraries_silent.set(True)
        kind = type(self)
        with _guard:
            kind.users += 1
            if kind.passes_on is None:
                kind.passes_on, warnings.warn = warnings.warn, _warn

    def __exit__(self, *_: object) -> None:
        _libraries_silent.reset(self._token)
        kind = type(self)
        with _guard:
            kind.users -= 1
            if kind.users == 0 and warnings.warn is _warn and kind.passes_on is not None:
                warnings.warn, kind.passes_on = kind.passes_on, None


def _warn(
    message: Warning | str,
    category: type[Warning] | None = None,
    stacklevel: int = 1,
    source: object = None,
    **options: Any,
) -> None:
    passes_on = libraries_silenced.passes_on or warnings.warn  # a call that began before the end
    if not _libraries_silent.get():
        passes_on(message, category, max(stacklevel, 1) + 1, source, **options)
