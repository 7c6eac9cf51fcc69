"""What was not edited stays the source's own: pixels put back, and a mask that finds itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks import hookimpl
from refhooks_keeping._auto_mask import AutoMask
from refhooks_keeping._keep_pixels import KeepPixels

if TYPE_CHECKING:
    from refhooks import RunPlugin

__all__ = ["AutoMask", "KeepPixels"]


@hookimpl
def refhooks_plugins() -> list[type[RunPlugin]]:
    """Register what keeps to the source."""
    return [AutoMask, KeepPixels]
