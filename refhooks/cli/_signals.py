"""``SIGTERM`` ends a command as Ctrl-C does: it is cleaned up, and said."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminated(KeyboardInterrupt):
    """The process was asked to end; raised where it stood, as Ctrl-C is."""


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[threading.Event]:
    """Raise :class:`Terminated` inside, where nobody else has a say in what the signal does.

    What is yielded is set then: a library, as Ray, may raise an interrupt of its own instead.
    """
    asked = threading.Event()
    alone = threading.current_thread() is threading.main_thread()
    if not alone or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield asked
        return

    def terminate(_number: int, _frame: Any) -> NoReturn:
        asked.set()
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
