"""Warnings for users, and leaving them out for a while.

``warnings.catch_warnings`` changes the filters of the whole process: two threads that take turns in
it leave filters behind. What is left out here is left out for this thread alone.
"""

from __future__ import annotations

import warnings
from contextvars import ContextVar

from refhooks.errors import RefhooksWarning

__all__ = ["is_silent", "silenced", "warn_user"]

_silent: ContextVar[bool] = ContextVar("silent", default=False)


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
