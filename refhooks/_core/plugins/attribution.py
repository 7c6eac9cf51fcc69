"""Saying which plugin it was: a note on what it raises, a place in what it warns of.

A hook is called thousands of times in a run, so nothing is noted down when it is: where a warning
comes from is read off the stack, when there is one. What is called once, such as ``bind``, says so.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
import warnings
from typing import TYPE_CHECKING, Any

from refhooks._base.advice import is_silent
from refhooks._base.forks import ForkLock
from refhooks._base.shown import note
from refhooks.errors import RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from refhooks._core.contract.values import Context


_calls: set[CodeType] = set()


class _Told(threading.local):
    place: str | None = None


_told = _Told()


def where(plugin: str, hook: str, ctx: Context) -> str:
    """Return how messages name a call of a hook."""
    return f"{plugin}, {hook}, step {ctx.step.index + 1} of {ctx.step.total}"


def calls_a_hook(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method ``(self, ctx, ...)`` that calls a hook; ``self.place(ctx)`` names the call."""
    _calls.add(function.__code__)
    return function


def current_place() -> str | None:
    """What this thread calls at this moment."""
    if _told.place is not None:
        return _told.place
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code in _calls:
            place: str = frame.f_locals["self"].place(frame.f_locals["ctx"])
            return place
        frame = frame.f_back
    return None


class naming:  # noqa: N801  it reads as a function
    """Name a place in whatever is raised or warned of inside."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._before: str | None = None

    def __enter__(self) -> None:
        self._before, _told.place = _told.place, self._place
        _enter()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        _told.place = self._before
        _leave()
        if error is not None:
            note(error, f"raised by {self._place}")


_guard = ForkLock()
_users = 0
_shown: Any = None
"""What showed warnings before; kept while anything runs."""


class naming_warnings:  # noqa: N801  it reads as a function
    """Let warnings name the place that they come from, if it is a plugin's.

    ``warnings.showwarning`` is the process's own, so what is put there passes on everything else as
    it comes, and stays harmless where other code puts it back later.
    """

    def __enter__(self) -> None:
        _enter()

    def __exit__(self, *_: object) -> None:
        _leave()


def _enter() -> None:
    global _users, _shown  # noqa: PLW0603  so is what it stands for
    with _guard:
        _users += 1
        if _users == 1 and warnings.showwarning is not _show:
            _shown, warnings.showwarning = warnings.showwarning, _show


def _leave() -> None:
    global _users  # noqa: PLW0603
    with _guard:
        _users -= 1
        if _users == 0 and warnings.showwarning is _show:
            warnings.showwarning = _shown


def _show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
    if is_silent() and issubclass(category, RefhooksWarning):
        return  # of a plugin's own
    place = current_place()
    if place is not None:
        with contextlib.suppress(Exception):  # a category may be made of anything
            message = category(f"{message} (from {place})")
    _shown(message, category, *rest, **named)
