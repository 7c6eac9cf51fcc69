"""A second place for pictures that are made and cannot be written where they should be."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["rescued"]


def rescued(
    finished: Sequence[tuple[Any, Path, Any]],
    write: Callable[[Any, Path, Any], None],
    error: InputError,
) -> InputError:
    """Put finished pictures into a new folder elsewhere, and return the error that names it.

    Args:
        finished: Pictures, their places, and what goes into their files.
        write: Writes one of them.
        error: Why the first of them cannot be written.
    """
    for parent in _parents():
        folder = None
        try:
            folder = Path(tempfile.mkdtemp(prefix="refhooks-", dir=parent))
            # what no other format holds, PNG does
            places = [folder / f"{place.stem}.png" for _, place, _ in finished]
            for (picture, _, inside), place in zip(finished, places, strict=True):
                write(picture, place, inside)
        except (InputError, OSError, ValueError):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            continue
        what = str(places[0]) if len(places) == 1 else f"{folder}, {len(places)} pictures"
        return InputError(f"{error}; what was made is not lost, it is in {what}")
    return InputError(f"{error}; and no other folder takes it, so it is lost")


def _parents() -> list[Path]:
    parents: list[Path] = []
    finders: tuple[Callable[[], str | Path], ...] = (tempfile.gettempdir, Path.home, Path.cwd)
    for find in finders:
        with contextlib.suppress(OSError, RuntimeError):
            parents.append(Path(find()))
    return list(dict.fromkeys(parents))
