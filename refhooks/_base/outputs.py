"""Where a picture can be saved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from refhooks._base.files import as_path
from refhooks._base.names import listed
from refhooks.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

EXTENSIONS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
QUALITY = 95
_KEEPING: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 99, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
}


def compression(kind: str, *, keeps: bool) -> dict[str, Any]:
    """Return how Pillow is to compress a picture.

    Args:
        kind: Its format.
        keeps: Whether pixels of a source were kept in it: colours are not stored at half the size
            then, which moves strong ones by a ΔE00 of up to 40 at their edges, and WEBP, which
            knows no other way, loses nothing.
    """
    return _KEEPING.get(kind, {}) if keeps else {"quality": QUALITY}


def check_output(path: str | Path) -> Path:
    """Return a path that a picture can be saved at.

    Raises:
        InputError: Its ending, or its folder, does not allow it.
    """
    target = as_path(path)
    if target.suffix.lower() not in EXTENSIONS:
        raise InputError(f"{target}: the ending must be one of {listed(EXTENSIONS)}")
    try:
        is_folder = target.is_dir()
    except OSError as error:  # such as a name that is too long
        raise InputError(f"{target} cannot be written: {error}") from error
    if is_folder:
        raise InputError(f"{target} is a directory; name a file")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target}: the folder {target.parent} cannot be written")
    return target
