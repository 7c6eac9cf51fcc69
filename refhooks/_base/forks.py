"""A process that was forked: it has the memory of its parent, and none of its other threads."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING

from refhooks._base.advice import warn_user

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ForkLock", "after_fork", "settle"]


class _Forked:
    with_torch = False


def settle() -> None:
    """Make this process, if it was forked from one that had loaded torch, compute by one thread.

    What computes in torch's other threads would wait for ever for those of the parent. Call it
    before the model is called.
    """
    if not _Forked.with_torch:
        return
    _Forked.with_torch = False
    import torch  # noqa: PLC0415  it is there already; what has no model does without

    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)
        warn_user(
            "this process was forked from one that had loaded torch, whose threads stay behind, so"
            " it computes by one thread; start processes by multiprocessing's 'spawn' to have all"
        )


class ForkLock:
    """A lock for a ``with`` that a forked process finds open, where another thread had it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        after_fork(self, ForkLock._renew)

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._owner = None
        self._lock.release()

    def _renew(self) -> None:
        if self._owner != threading.get_ident():
            self._lock, self._owner = threading.Lock(), None


_renewed: weakref.WeakKeyDictionary[object, Callable[..., None]] = weakref.WeakKeyDictionary()


def after_fork(owner: object, renew: Callable[..., None]) -> None:
    """Have ``renew(owner)`` called in a forked process, as long as the owner is there."""
    _renewed[owner] = renew


def _in_child() -> None:
    _Forked.with_torch = "torch" in sys.modules
    for owner, renew in list(_renewed.items()):
        renew(owner)


if hasattr(os, "register_at_fork"):  # nothing forks on Windows
    os.register_at_fork(after_in_child=_in_child)
