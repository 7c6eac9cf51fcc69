"""Writing files so that no half-written one is ever left."""

from __future__ import annotations

import contextlib
import secrets
from os import PathLike
from pathlib import Path
from typing import Any

from refhooks._base.shown import shown
from refhooks.errors import InputError


def write_whole(data: bytes, path: Path) -> None:
    """Write a file beside its place, then rename it.

    Raises:
        InputError: The folder is missing, or the disk is full or refuses the file.
    """
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            file.write(data)
        beside.replace(path)
    except (OSError, ValueError) as error:  # such as a name with a zero byte
        raise InputError(f"{path} cannot be written: {error}") from error
    finally:
        remove(beside)


def remove(path: Path) -> None:
    """Remove a file if it is there and can be removed."""
    with contextlib.suppress(OSError, ValueError):
        path.unlink(missing_ok=True)


def as_path(value: Any) -> Path:
    """Return a path that a user gave.

    Raises:
        InputError: It is neither a text nor a path.
    """
    if not isinstance(value, str | PathLike):
        raise InputError(f"a file is named by a path, got {shown(value)}")
    return Path(value)


def is_file(path: str | Path) -> bool:
    """Return whether there is a file; a name that no file can have, or that is not shown, is none.

    Before Python 3.12 ``Path.is_file`` raises for those.
    """
    return _asked(path, "is_file")


def is_folder(path: str | Path) -> bool:
    """Return whether there is a folder; as :func:`is_file`."""
    return _asked(path, "is_dir")


def _asked(path: str | Path, question: str) -> bool:
    try:
        return bool(getattr(Path(path), question)())
    except (OSError, ValueError):
        return False
