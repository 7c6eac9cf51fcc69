"""In which part of a pipeline something was raised, read off the traceback."""

from __future__ import annotations

import contextlib
import traceback
from typing import Any

__all__ = ["part_of"]


def part_of(error: BaseException, pipe: Any) -> str | None:
    """Return the pipeline's name of the part that an exception was raised in.

    A run has copies of some parts, such as its scheduler, so they are known by their classes.

    Args:
        error: As caught.
        pipe: A diffusers pipeline.

    Returns:
        Such as ``text_encoder``, the innermost where one calls another; ``None``: in no part.
    """
    kinds: dict[type, str] = {}
    with contextlib.suppress(Exception):  # a stranger's pipeline may have anything there
        kinds = {type(part): name for name, part in pipe.components.items() if part is not None}
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        found = kinds.get(type(frame.f_locals.get("self")), found)
    return found
