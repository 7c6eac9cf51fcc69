"""Writing files so that no half-written one is ever left."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from os import PathLike
from pathlib import Path
from typing import Any

from refhooks._base.shown import shown
from refhooks._base.unfinished import beside, sweep
from refhooks.errors import InputError


def write_whole(data: bytes, path: Path, *, mode: int | None = None) -> None:
    """Write a file beside its place, then rename it.

    A file that is replaced keeps its mode, and a link goes on leading to what it leads to.

    Args:
        data: All of it.
        path: Its place.
        mode: Of a new file; ``None``: what the process gives new files.

    Raises:
        InputError: The folder is missing, or the disk is full or refuses the file.
    """
    part = None
    try:
        place = target_of(path)
        sweep(place.parent)
        part, mode = beside(place), mode_of(place) or mode
        if mode is not None:
            part.touch(0o600, exist_ok=False)  # a private file is private at every moment
        with part.open("xb" if mode is None else "r+b") as file:
            file.write(data)
        if mode is not None:
            part.chmod(mode)
        part.replace(place)
    except (OSError, ValueError, RuntimeError) as error:  # such as a zero byte, a circle of links
        raise InputError(f"{path} cannot be written: {error}") from error
    finally:
        if part is not None:
            remove(part)


def file_hash(path: Path) -> str:
    """Return the sha256 of a file's bytes, 64 hexadecimal digits; they are read in pieces.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def target_of(path: Path) -> Path:
    """Return where a file is written: what a link leads to."""
    return path.resolve() if path.is_symlink() else path


def mode_of(path: Path) -> int | None:
    """Return the permissions of a file, ``None`` if there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def try_writing(path: Path, size: int) -> None:
    """Write as many bytes as a file may take beside its place, and take them away again.

    Permissions do not tell all: there are read-only disks, full ones, quotas, and the superuser.

    Raises:
        InputError: They cannot be written.
    """
    part = None
    try:
        place = target_of(path)
        sweep(place.parent)
        part = beside(place)
        block = os.urandom(min(max(size, 1), 2**20))  # some disks store zeros in no space
        part.touch(0o600, exist_ok=False)
        with part.open("r+b") as file:
            for start in range(0, size, len(block)):
                file.write(block[: size - start])
    except (OSError, ValueError, RuntimeError) as error:
        room = f"; {size / 2**20:.1f} MiB may be needed there" if _is_full(error) else ""
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be written: {reason}{room}") from error
    finally:
        if part is not None:
            remove(part)


def _is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
