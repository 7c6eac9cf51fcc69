"""Closing what was opened, last first, whatever fails on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks._base.shown import note, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["Closing"]


class Closing:
    """What has to be closed.

    :class:`contextlib.ExitStack` lets the last error win, and in a generator a ``StopIteration`` of
    a plugin becomes a ``RuntimeError``. Here the first error is the one that is raised, as it is;
    what others say is noted on it.
    """

    def __init__(self) -> None:
        self._closers: list[Callable[[], object]] = []

    def callback(self, close: Callable[[], object]) -> None:
        """Have something called when it is closed."""
        self._closers.append(close)

    def enter(self, context: AbstractContextManager[Any]) -> Any:
        """Enter a context, which is left when it is closed, and return what it gives."""
        entered = context.__enter__()
        self.callback(lambda: context.__exit__(None, None, None))
        return entered

    def close(self, error: BaseException | None = None) -> None:
        """Close all of it.

        Args:
            error: What is being raised already; whoever calls this raises it.

        Raises:
            BaseException: The first that is raised here, where there is no ``error``.
        """
        first = error
        while self._closers:
            try:
                self._closers.pop()()
            except BaseException as failure:  # noqa: BLE001  the others are closed as well
                if first is None:
                    first = failure
                elif failure is not first:
                    _note_of(first, failure)
        if first is not None and error is None:
            raise first


def _note_of(first: BaseException, failure: BaseException) -> None:
    places = "; ".join(str(it) for it in getattr(failure, "__notes__", ()))
    note(first, f"then {type(failure).__name__}: {told(failure)}" + (f", {places}" * bool(places)))
