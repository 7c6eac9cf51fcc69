"""Files that are being written: named after their process, and swept up where it died."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from pathlib import Path

__all__ = ["beside", "sweep"]

_NAME = re.compile(r"\.(?:([0-9a-f]{8})-(\d{1,10})-)?[0-9a-f]{8,16}\.part")
_OLD = 24 * 3600.0  # seconds after which nothing is still being written, whoever began it
_EVERY = 60.0  # seconds; a folder is not listed for each file that is written there
_swept: dict[str, float] = {}


def beside(path: Path) -> Path:
    """Return a new name in the folder of a file, for what becomes it once it is whole."""
    return path.with_name(f".{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.part")


def sweep(folder: Path, *, again: bool = False) -> None:
    """Remove what processes of this machine that are gone left unfinished in a folder.

    What another machine began, or a version before that wrote no names, goes after a day.

    Args:
        folder: Looked at once a minute at most.
        again: Look now.
    """
    now, key = time.monotonic(), os.path.realpath(folder)  # "." is another one elsewhere
    if not again and now - _swept.get(key, -_EVERY) < _EVERY:
        return
    _swept[key] = now
    with contextlib.suppress(OSError, ValueError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is not None and _is_left(entry, match):
                _remove(Path(entry.path))


def _is_left(entry: os.DirEntry[str], match: re.Match[str]) -> bool:
    with contextlib.suppress(OSError):
        if match[1] == _machine() and os.name == "posix":
            return not _is_alive(int(match[2]))
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError, IndexError):  # one that ended, and nobody asked how
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True


@functools.cache
def _machine() -> str:
    """Eight digits for this machine, since it started; a container is one of its own."""
    told = [platform.node()]
    with contextlib.suppress(OSError):
        told.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        told.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:8]
