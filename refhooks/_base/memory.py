"""What tells that a device, or the machine, is full; and how refhooks says so."""

from __future__ import annotations

import torch

from refhooks._base.shown import note, told
from refhooks.errors import OutOfMemoryError, RefhooksError

__all__ = ["explained", "out_of_memory"]

_MODEL = ("raised by family ", "raised by scheduler ")


def out_of_memory(error: BaseException) -> bool:
    """Return whether the device is full, or the machine is while a family or a scheduler works.

    A ``MemoryError`` that a plugin raises is the plugin's own, and stays what it is.
    """
    if isinstance(error, RefhooksError):
        return False
    if isinstance(error, MemoryError):
        notes = getattr(error, "__notes__", None) or [""]
        return str(notes[0]).startswith(_MODEL)
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in told(error)


def explained(error: BaseException, message: str) -> OutOfMemoryError:
    """Return refhooks' own error for one of these; it keeps the notes, which name the culprit."""
    new = OutOfMemoryError(message)
    for line in getattr(error, "__notes__", ()):
        note(new, str(line))
    return new
