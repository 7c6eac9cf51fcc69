"""Values and exceptions of strangers as words of a message; whatever they do when asked."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["note", "one_of", "shown", "told"]


def shown(value: object, most: int = 80) -> str:
    """Return the ``repr`` of a value, cut off; where that fails, what kind of value it is."""
    try:
        return repr(value)[:most]
    except Exception as error:  # noqa: BLE001  such as a whole number of 5,000 digits
        return f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"


def told(error: BaseException) -> str:
    """Return what an exception says; where that fails, that it says nothing."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  a stranger's exception may do anything
        return f"its message cannot be shown ({type(failure).__name__})"


def one_of(value: Any, known: tuple[str, ...]) -> bool:
    """Return whether a value is one of these texts; asked of an array, ``in`` would fail."""
    return isinstance(value, str) and value in known


def note(error: BaseException, text: str) -> None:
    """Add a note to what was raised; one that takes none stays as it is."""
    with contextlib.suppress(Exception):
        error.add_note(text)
