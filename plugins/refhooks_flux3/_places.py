"""Position ids of target and references: 0, row, column and number of each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from refhooks.families import Places as FlowPlaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Grid = tuple[int, int]


class Places(FlowPlaces):
    """Those of a run of FLUX.3, where a picture's number stands in the place of a frame.

    ``native`` gives the picture of slot ``i`` the number ``−(i + 1)`` (ComfyUI calls the like
    ``negative_index``), ``same`` and ``offset`` the target's.

    Args:
        grid: Rows and columns of the target's tokens.
        grids: Those of each reference, ``None`` where it gives no tokens.
        scale: Of rows and columns.
        device: Of the run.
    """

    def __init__(
        self, grid: Grid, grids: Sequence[Grid | None], scale: float, device: torch.device
    ) -> None:
        self._scale = scale  # the target's ids are made at once
        super().__init__(grid, grids, device, frame=lambda slot: -(slot + 1))

    def ids(self, frame: int, grid: Grid, shift: Grid) -> Tensor:
        """Return the ids of a picture, row by row, ``[rows·columns,4]``, float32."""
        numbers, rows, columns = super().ids(frame, grid, shift).float().unbind(1)
        scaled = (rows * self._scale, columns * self._scale)
        return torch.stack([torch.zeros_like(numbers), *scaled, numbers], dim=1)
