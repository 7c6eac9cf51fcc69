"""Damaged pictures: what Pillow raises of them, told in one sentence."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from refhooks.errors import InputError

__all__ = ["DAMAGED", "damaged", "decoded"]

# While Pillow opens or decodes a file: its readers of formats trust lengths, tables and tags, each
# in one place or another.
DAMAGED = (
    OSError, SyntaxError, ValueError, AssertionError, LookupError, TypeError, AttributeError,
    ArithmeticError, EOFError, NotImplementedError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip


def damaged(label: str, error: Exception) -> InputError:
    """Return what is told of a damaged picture; only some of Pillow's own words mean something.

    Args:
        label: How the message names it.
        error: One of ``DAMAGED``.
    """
    meant = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    said = str(error) if isinstance(error, meant) else ""
    return InputError(f"{label} cannot be read as a picture: {said or 'a part of it is missing'}")


def decoded(picture: Image.Image, label: str) -> int:
    """Decode a picture, which may be read from a file as late as now; return how many it holds.

    Raises:
        InputError: It is damaged.
    """
    try:
        frames: int = getattr(picture, "n_frames", 1)
        picture.load()
    except DAMAGED as error:
        raise damaged(label, error) from error
    return frames
