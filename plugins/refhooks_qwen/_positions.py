"""Rotary positions of pictures and text, for layouts that the stock embedding does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import Tokens

Grid = tuple[int, int]
POSITIONS = ("native", "same", "offset")


def frequencies(
    embedding: Any,
    grid: Grid,
    slots: Sequence[tuple[int, Grid, Tokens]],
    reach: int,
    text_length: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return the rotary frequencies of the image tokens and of the text.

    A picture is centred on its own rows and columns. ``native`` puts the picture of slot ``i`` on
    frame ``i + 1`` (ComfyUI calls it ``index``), ``same`` on the target's frame, ``offset`` on the
    target's frame beside it: to the right, or below where the sheet of both stays squarer.

    Args:
        embedding: The transformer's ``QwenEmbedRope``.
        grid: Rows and columns of the target.
        slots: The filled slots: number, rows and columns of the whole picture, tokens.
        reach: Where the text starts: beyond the largest picture of the run.
        text_length: ``S``.
        device: Of the result.

    Returns:
        ``[T+kept,D/2]`` and ``[S,D/2]``, complex.
    """
    places = [_centred(0, grid, (0, 0))]
    for slot, own, tokens in slots:
        place = _placed(tokens.positions, slot, own, grid)
        places.append(place if tokens.keep is None else place[tokens.keep.cpu()])
    table = torch.cat([embedding.pos_freqs, embedding.neg_freqs])  # index −1 is position −1
    axes = table.split([size // 2 for size in embedding.axes_dim], dim=1)
    index = torch.cat(places)  # [T+kept,3]
    image = torch.cat([axis[index[:, number]] for number, axis in enumerate(axes)], dim=1)
    start = max(reach, 1 + int(index[:, 1:].max()))
    text = embedding.pos_freqs[start : start + text_length]
    return image.to(device), text.to(device)


def _placed(positions: str, slot: int, own: Grid, target: Grid) -> Tensor:
    if positions == "native":
        return _centred(slot + 1, own, (0, 0))
    if positions == "same":
        return _centred(0, own, (0, 0))
    right = max(target[0], own[0]) * (target[1] + own[1])
    below = (target[0] + own[0]) * max(target[1], own[1])
    if right <= below:
        return _centred(0, own, (0, target[1] - target[1] // 2 + own[1] // 2))
    return _centred(0, own, (target[0] - target[0] // 2 + own[0] // 2, 0))


def _centred(frame: int, grid: Grid, shift: Grid) -> Tensor:
    """Frame, row and column of each token, row by row, ``[rows·columns,3]``."""
    rows, columns = grid
    row = torch.arange(rows) - (rows - rows // 2) + shift[0]
    column = torch.arange(columns) - (columns - columns // 2) + shift[1]
    return torch.cartesian_prod(torch.tensor([frame]), row, column)
