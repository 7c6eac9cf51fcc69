"""Position ids of target and references, for models that are given them: frame, row, column."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from refhooks.errors import HookReturnError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import Tensor

    from refhooks._core.contract.values import Tokens

    Grid = tuple[int, int]
    Filled = Sequence[tuple[int, Tokens]]

__all__ = ["POSITIONS", "Places"]

POSITIONS = ("native", "same", "offset")
_LAYOUTS = 16  # of which the ids are kept


class Places:
    """The position ids of a run, made once for each layout.

    ``native`` puts the picture of a slot on a frame of its own (ComfyUI calls it ``index``),
    ``same`` on the target's frame, ``offset`` on the target's frame, beyond the target and the
    pictures of all slots before: to the right, or below where that reaches less far. Nothing
    depends on which slots are filled.

    Args:
        grid: Rows and columns of the target's tokens.
        grids: Those of each reference, ``None`` where it gives no tokens.
        device: Of the run.
        frame: Given a slot, 0-based, the frame of its picture.
        target: Frame of the target.
        start: First row and first column of every picture.
        axes: How many numbers an id has; those after the column are 0.

    Attributes:
        positions: What there is.
        target: Ids of the target's tokens, ``[T,axes]``.
    """

    positions: ClassVar[tuple[str, ...]] = POSITIONS

    def __init__(
        self,
        grid: Grid,
        grids: Sequence[Grid | None],
        device: torch.device,
        *,
        frame: Callable[[int], int],
        target: int = 0,
        start: int = 0,
        axes: int = 3,
    ) -> None:
        self._device = device
        self._shifts = _beside(grid, grids)
        self._grids = grids
        self._frame = frame
        self._target_frame = target
        self._start = start
        self._axes = axes
        self._whole: dict[tuple[int, str], Tensor] = {}
        self._made: dict[object, tuple[list[Tensor | None], Tensor]] = {}
        self.target = self.ids(target, grid, (0, 0))

    def of(self, filled: Filled) -> Tensor:
        """Return the ids of the filled slots' tokens, one after the other, ``[tokens,axes]``.

        Raises:
            HookReturnError: ``keep`` names a token that the picture does not have.
        """
        import torch  # noqa: PLC0415  plugins load without it

        key = tuple((slot, id(tokens.keep), tokens.positions) for slot, tokens in filled)
        if key not in self._made:
            if len(self._made) >= _LAYOUTS:
                self._made.clear()
            kept = [tokens.keep for _, tokens in filled]  # what a key names is kept alive
            self._made[key] = kept, torch.cat([self._slot(slot, it) for slot, it in filled])
        return self._made[key][1]

    def of_target(self, keep: Tensor | None) -> Tensor:
        """Return the ids of the target's tokens that are there, ``[K,axes]``.

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
            frame = self._frame(slot) if positions == "native" else self._target_frame
            shift = self._shifts[slot] if positions == "offset" else (0, 0)
            self._whole[slot, positions] = self.ids(frame, grid, shift)
        return self._whole[slot, positions]

    def ids(self, frame: int, grid: Grid, shift: Grid) -> Tensor:
        """Return the ids of a picture, row by row, ``[rows·columns,axes]``.

        A model that has other numbers in an id makes them of these.

        Args:
            frame: Of the picture.
            grid: Its rows and columns.
            shift: How far it is moved down and right.
        """
        import torch  # noqa: PLC0415  plugins load without it

        rows, columns = (
            torch.arange(first, first + count) + self._start
            for first, count in zip(shift, grid, strict=True)
        )
        rest = [torch.tensor([0])] * (self._axes - 3)
        return torch.cartesian_prod(torch.tensor([frame]), rows, columns, *rest).to(self._device)


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
