"""Sizes of pictures."""

from __future__ import annotations

import attrs


@attrs.frozen
class Size:
    """Height and width in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def nearest(length: float, multiple: int) -> int:
    """Return the nearest multiple above 0."""
    return max(multiple, round(length / multiple) * multiple)


def upward(length: int, multiple: int) -> int:
    """Return the smallest multiple that is not below."""
    return -(-length // multiple) * multiple
