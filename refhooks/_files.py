"""Writing files so that no half-written one is ever left."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from refhooks.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


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
