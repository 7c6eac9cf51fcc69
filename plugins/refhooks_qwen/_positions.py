"""Rotary positions of pictures and text, for layouts that the stock embedding does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks import HookReturnError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import Tokens

Grid = tuple[int, int]
VARIANTS = {
    "positions": ("same", "offset", "comfy-offset", "negative"),
    "modulate": ("zero",),
    "center": ("floor",),
    "text_start": ("target",),
}


def reach(grid: Grid | None) -> int:
    """Return how far a picture pushes the text: the embedding centres rows and columns."""
    return 0 if grid is None else max(grid[0] // 2, grid[1] // 2)


def frequencies(
    embedding: Any,
    grids: Sequence[Grid],
    filled: Sequence[tuple[int, Tokens]],
    reach: int,
    text_length: int,
    device: torch.device,
    keep: Tensor | None = None,
    center: str = "native",
) -> tuple[Tensor, Tensor]:
    """Return the rotary frequencies of the image tokens and of the text.

    A picture is centred on its own rows and columns. ``native`` puts the picture of slot ``i`` on
    frame ``i + 1`` (ComfyUI calls it ``index``), ``negative`` on frame ``-(i + 1)``, ``same`` on
    the target's frame, ``offset`` on the target's frame, beyond the target and the pictures of all
    slots before: to the right, or below where that reaches less far. ``comfy-offset`` is ComfyUI's
    ``offset``: all on frame 1, each beyond the pictures before, but not beyond the target. Nothing
    depends on which slots are filled.

    Args:
        embedding: The transformer's ``QwenEmbedRope``.
        grids: Rows and columns of the target, then of each slot's whole picture.
        filled: Number and tokens of the filled slots.
        reach: Where the text starts: beyond the largest picture of the run.
        text_length: ``S``.
        device: Of the result.
        keep: Which of the target's tokens are there; ``None``: all.
        center: Which of the rows and columns of a picture is its middle, 0, where their number
            ``n`` is odd: ``native``, that of index ``(n + 1) / 2``, or ``floor``, ``(n - 1) / 2``.

    Returns:
        ``[T+kept,D/2]`` and ``[S,D/2]``, complex.

    Raises:
        HookReturnError: ``keep`` names a token that the picture does not have.
    """
    up = center == "floor"
    target = _centred(0, grids[0], (0, 0), up=up)
    places = [target if keep is None else target[_kept(keep, "keep", len(target))]]
    for slot, tokens in filled:
        whole = _placed(tokens.positions, slot, grids, up=up)
        places.append(
            whole
            if tokens.keep is None
            else whole[_kept(tokens.keep, f"slot {slot}.keep", len(whole))]
        )
    table = torch.cat([embedding.pos_freqs, embedding.neg_freqs])  # index −1 is position −1
    axes = table.split([size // 2 for size in embedding.axes_dim], dim=1)
    index = torch.cat(places)  # [T+kept,3]
    image = torch.cat([axis[index[:, number]] for number, axis in enumerate(axes)], dim=1)
    text = embedding.pos_freqs[reach : reach + text_length]
    return image.to(device), text.to(device)


def _kept(keep: Tensor, whose: str, count: int) -> Tensor:
    indices = keep.cpu()
    if int(indices.min()) < 0 or int(indices.max()) >= count:
        raise HookReturnError(
            f"{whose} must name tokens from 0 to {count - 1},"
            f" got {int(indices.min())} to {int(indices.max())}"
        )
    return indices


def _placed(positions: str, slot: int, grids: Sequence[Grid], *, up: bool) -> Tensor:
    own = grids[slot + 1]
    if positions == "native":
        return _centred(slot + 1, own, (0, 0), up=up)
    if positions == "negative":
        return _centred(-slot - 1, own, (0, 0), up=up)
    if positions == "same":
        return _centred(0, own, (0, 0), up=up)
    if positions == "comfy-offset":
        return _centred(1, own, _stacked(slot, grids), up=up)
    return _centred(0, own, _beside(slot, grids), up=up)


def _beside(slot: int, grids: Sequence[Grid]) -> Grid:
    """How far a slot's picture is moved down and right; every slot before has its own place."""
    rows, columns = grids[0]
    down, right = rows - rows // 2, columns - columns // 2  # where the target ends, from its centre
    for number in range(slot + 1):
        own = grids[number + 1]
        if right + own[1] <= down + own[0]:
            shift, right = (0, right + own[1] // 2), right + own[1]
        else:
            shift, down = (down + own[0] // 2, 0), down + own[0]
    return shift


def _stacked(slot: int, grids: Sequence[Grid]) -> Grid:
    """How far a slot's picture is moved down and right from the middle by ComfyUI's ``offset``.

    The first is not moved. Each next one is moved by how far those before reach, as rows or columns
    from 0: to the right where it would reach further below than there, else down.
    """
    down, right = 0, 0
    for number in range(slot + 1):
        rows, columns = grids[number + 1]
        shift = (0, right) if rows + down > columns + right else (down, 0)
        down, right = max(down, rows + shift[0]), max(right, columns + shift[1])
    return shift


def _centred(frame: int, grid: Grid, shift: Grid, *, up: bool) -> Tensor:
    """Frame, row and column of each token, row by row, ``[rows·columns,3]``."""
    before = [number // 2 if up else number - number // 2 for number in grid]
    row = torch.arange(grid[0]) - before[0] + shift[0]
    column = torch.arange(grid[1]) - before[1] + shift[1]
    return torch.cartesian_prod(torch.tensor([frame]), row, column)
