"""Taking turns: what only one may have at a time, in the order in which it was asked for."""

from __future__ import annotations

import collections
import contextlib
import math
import numbers
import threading
import weakref
from typing import TYPE_CHECKING, Any

from refhooks._base.forks import ForkLock, after_fork, settle
from refhooks.errors import BusyError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Turns", "exclusive", "seconds_of", "turns_of"]


def seconds_of(wait: Any) -> float | None:
    """Return how long at most ``wait`` waits: 0 not at all, ``None`` without an end.

    Raises:
        InputError: It is neither a bool nor a number of seconds, 0 or above.
    """
    if isinstance(wait, bool):
        return None if wait else 0.0
    if not isinstance(wait, numbers.Real) or not math.isfinite(wait) or wait < 0:
        raise InputError(
            f"wait must be True, False or the most seconds to wait, 0 or above; got {wait!r:.80}"
        )
    return min(float(wait), threading.TIMEOUT_MAX)


class Turns:
    """A lock that whoever asked first has first."""

    def __init__(self) -> None:
        self._guard = ForkLock()
        self._waiting: collections.deque[threading.Event] = collections.deque()
        self._owner: int | None = None  # a thread's number; 0: it is being handed over
        self._lost = False  # who has it is a thread of the process that this one was forked from
        after_fork(self, Turns._renew)

    @property
    def is_taken(self) -> bool:
        """Whether somebody has it."""
        return self._owner is not None

    def take(self, seconds: float | None) -> bool:
        """Take it, after those who asked before; return whether it could be had in time.

        Args:
            seconds: To wait at most; ``None``: until it is there.

        Raises:
            BusyError: This thread has it already, and would wait for itself; or a thread had it
                that is not in this process.
        """
        me = threading.get_ident()
        with self._guard:
            if self._lost:
                raise BusyError(
                    "this process was forked while another thread ran an edit on this transformer,"
                    " and has it as it was amid that edit; fork between edits, or load the model"
                    " anew in this process"
                )
            if self._owner is None:
                self._owner = me
                return True
            if seconds == 0:
                return False
            if self._owner == me:
                raise BusyError(
                    "an edit that was called within another, such as by its callback, cannot wait"
                    " for that one to end; call it afterwards"
                )
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            turn.wait(seconds)
        except BaseException:
            if self._left(turn):
                self.give()
            raise
        return self._left(turn)

    def _left(self, turn: threading.Event) -> bool:
        """Leave the queue; return whether the turn had come."""
        with self._guard:
            if not turn.is_set():
                self._waiting.remove(turn)
                return False
            self._owner = threading.get_ident()
            return True

    def give(self) -> None:
        """Hand it to the next, if anybody waits."""
        with self._guard:
            if self._waiting:
                self._owner = 0
                self._waiting.popleft().set()
            else:
                self._owner = None

    def _renew(self) -> None:
        """Mind a fork: the threads that wait, or run an edit, are not in this process."""
        self._waiting.clear()
        self._lost = self._owner not in (None, 0, threading.get_ident())
        self._owner = self._owner or None


_turns: weakref.WeakKeyDictionary[Any, Turns] = weakref.WeakKeyDictionary()
_guard = ForkLock()


def turns_of(transformer: Any) -> Turns:
    """Return who has a transformer, and who waits for it."""
    with _guard:
        model = getattr(transformer, "_orig_mod", transformer)  # under torch.compile
        return _turns.setdefault(model, Turns())


@contextlib.contextmanager
def exclusive(transformer: Any, seconds: float | None = 0.0) -> Iterator[None]:
    """Keep a transformer to one edit.

    Args:
        transformer: It.
        seconds: To wait for it at most, in the order in which it was asked for; ``None``: until it
            is free.

    Raises:
        BusyError: It runs another for all of that time, or the one in which this was called.
    """
    settle()
    turns = turns_of(transformer)
    if not turns.take(seconds):
        waited = f" after {seconds:g} s in which this one waited" if seconds else ""
        raise BusyError(
            f"this transformer already runs an edit{waited}; let this one wait (wait=True), or load"
            " a second copy of the model"
        )
    try:
        yield
    finally:
        turns.give()
