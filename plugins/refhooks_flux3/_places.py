"""Position ids of target and references: 0, row, column and number of each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from refhooks import HookReturnError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import Tokens

    Grid = tuple[int, int]
    Filled = Sequence[tuple[int, Tokens]]

POSITIONS = ("native", "same", "offset")
_LAYOUTS = 16  # of which the ids are kept


class Places:
    """The position ids of a run, made once for each layout.

    ``native`` gives the picture of slot ``i`` the number ``−(i + 1)`` (ComfyUI calls the like
    ``negative_index``), ``same`` the target's, ``offset`` the target's, beyond the target and the
    pictures of all slots before: to the right, or below where that reaches less far. Nothing
    depends on which slots are filled.

    Args:
        grid: Rows and columns of the target's tokens.
        grids: Those of each reference, ``None`` where it gives no tokens.
        scale: Of rows and columns.
        device: Of the run.
    """

    def __init__(
        self, grid: Grid, grids: Sequence[Grid | None], scale: float, device: torch.device
    ) -> None:
        self._device = device
        self._scale = scale
        self._shifts = _beside(grid, grids)
        self._grids = grids
        self._whole: dict[tuple[int, str], Tensor] = {}
        self._made: dict[object, tuple[list[Tensor | None], Tensor]] = {}
        self.target = self._ids(0, grid, (0, 0))

    def of(self, filled: Filled) -> Tensor:
        """Return the ids of the filled slots' tokens, one after the other, ``[tokens,4]``.

        Raises:
            HookReturnError: ``keep`` names a token that the picture does not have.
        """
        key = tuple((slot, id(tokens.keep), tokens.positions) for slot, tokens in filled)
        if key not in self._made:
            if len(self._made) >= _LAYOUTS:
                self._made.clear()
            kept = [tokens.keep for _, tokens in filled]  # what a key names is kept alive
            self._made[key] = kept, torch.cat([self._slot(slot, it) for slot, it in filled])
        return self._made[key][1]

    def of_target(self, keep: Tensor | None) -> Tensor:
        """Return the ids of the target's tokens that are there, ``[K,4]``.

        Args:
            keep: Which; ``None``: all.
        """
        return self.target if keep is None else self.target[keep.to(self.target.device)]

    def _slot(self, slot: int, tokens: Tokens) -> Tensor:
        whole = self._whole_of(slot, tokens.positions)
        if tokens.keep is None:
            return whole
        lowest, highest = int(tokens.keep.min()), int(tokens.keep.max())
        if lowest < 0 or highest >= len(whole):
            raise HookReturnError(
                f"slot {slot}.keep must name tokens from 0 to {len(whole) - 1},"
                f" got {lowest} to {highest}"
            )
        return whole[tokens.keep.to(whole.device)]

    def _whole_of(self, slot: int, positions: str) -> Tensor:
        if (slot, positions) not in self._whole:
            grid = self._grids[slot]
            assert grid is not None  # noqa: S101  the core lets nothing fill the slot of such a one
            number = -(slot + 1) if positions == "native" else 0
            shift = self._shifts[slot] if positions == "offset" else (0, 0)
            self._whole[slot, positions] = self._ids(number, grid, shift)
        return self._whole[slot, positions]

    def _ids(self, number: int, grid: Grid, shift: Grid) -> Tensor:
        """Ids row by row, ``[rows·columns,4]``."""
        rows, columns = (
            torch.arange(start, start + count) for start, count in zip(shift, grid, strict=True)
        )
        frame = torch.zeros(1, dtype=torch.int64)
        ids = torch.cartesian_prod(frame, rows, columns, torch.tensor([number])).float()
        ids[:, 1:3] = ids[:, 1:3] * self._scale
        return ids.to(self._device)


def _beside(target: Grid, grids: Sequence[Grid | None]) -> list[Grid]:
    """How far each picture is moved down and right; every slot before has its own place."""
    down, right = target
    shifts: list[Grid] = []
    for grid in grids:
        rows, columns = (1, 1) if grid is None else grid
        if right + columns <= down + rows:
            shifts.append((0, right))
            right += columns
        else:
            shifts.append((down, 0))
            down += rows
    return shifts
