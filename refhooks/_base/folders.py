"""Folders that are made for results: where nothing came of it, they are taken away again."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["make_folder", "no_empty_folders"]

_made: ContextVar[list[Path] | None] = ContextVar("_made", default=None)


def make_folder(path: str | Path) -> Path:
    """Make a folder, and those that it lies in, where they are not there.

    Returns:
        Its path, as it was given.

    Raises:
        OSError: It cannot be made, or is a file.
    """
    folder = Path(path)
    made = _made.get()
    if made is not None:  # before it is tried: it may come half of the way
        place = folder.absolute()
        made += [it for it in (place, *place.parents) if not it.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def no_empty_folders() -> Iterator[None]:
    """Where the body raises, take away the folders that it made and that hold nothing."""
    made: list[Path] = []
    token = _made.set(made)
    try:
        yield
    except BaseException:
        for folder in sorted(made, key=lambda it: len(it.parts), reverse=True):
            with contextlib.suppress(OSError):  # it holds something, or was never made
                folder.rmdir()
        raise
    finally:
        _made.reset(token)
    outer = _made.get()
    if outer is not None:
        outer += made
