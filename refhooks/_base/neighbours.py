"""Tokens of a grid that lie within so many of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["around"]

MANY = 1024  # tokens of a grid


def around(cover: Tensor, tokens: int) -> Tensor:
    """Return the tokens that are covered at all, and those within so many of them.

    They are rounded up with those that lie nearest: to a multiple of 4, as some models count, or on
    a grid of 1024 tokens and more of 16, as kernels like it.

    Args:
        cover: Of the tokens of a grid, ``[rows,columns]``, 0–1.
        tokens: Along rows, columns and diagonals.

    Returns:
        Indices on the grid, ``[K]``, rising.
    """
    inside = _wider(cover > 0.0, tokens)
    multiple = 16 if inside.numel() >= MANY else 4
    goal = min(-(-int(inside.sum()) // multiple) * multiple, inside.numel())
    while missing := goal - int(inside.sum()):
        ring = (_wider(inside, 1) & ~inside).flatten().nonzero()[:, 0]
        inside.view(-1)[ring[:missing]] = True
    return inside.flatten().nonzero()[:, 0]


def _wider(inside: Tensor, tokens: int) -> Tensor:
    side = 2 * tokens + 1
    wide = functional.max_pool2d(inside.float()[None, None], side, stride=1, padding=tokens)
    return wide[0, 0] > 0.0
