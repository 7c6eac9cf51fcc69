"""Warnings for users, and leaving them out for a while.

``warnings.catch_warnings`` changes the filters of the whole process: two threads that take turns in
it leave filters behind. What is left out here is left out for this thread alone.
"""

from __future__ import annotations

import threading
import warnings
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from refhooks.errors import RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["is_silent", "libraries_silenced", "silenced", "warn_user"]

_silent: ContextVar[bool] = ContextVar("silent", default=False)
_libraries_silent: ContextVar[bool] = ContextVar("libraries_silent", default=False)
_guard = threading.Lock()


def is_silent() -> bool:
    """Return whether this thread leaves warnings out."""
    return _silent.get()


def warn_user(message: str, *, stacklevel: int) -> None:
    """Warn with :class:`refhooks.RefhooksWarning`; ``stacklevel`` as for ``warnings.warn``."""
    if not _silent.get():
        warnings.warn(message, RefhooksWarning, stacklevel=stacklevel + 1)


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
