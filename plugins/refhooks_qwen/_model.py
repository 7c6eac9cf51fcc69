"""What a run puts on the transformer, only when it needs it, and takes off again.

The stock forward knows whole pictures, one after the other. Two plain forward hooks give it what it
lacks: one on the position embedding (some tokens of a picture, a slot that is empty), one on the
input projection (what joins after it).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks import Inputs, Tokens

Grid = tuple[int, int]
Shape = tuple[int, int, int]


class ModelHooks:
    """Forward hooks of one run on a ``QwenImageTransformer2DModel``.

    Args:
        transformer: The model.
        grid: Rows and columns of the target's tokens.
        grids: Those of each reference, ``None`` where it never acts.
    """

    def __init__(self, transformer: Any, grid: Grid, grids: tuple[Grid | None, ...]) -> None:
        self._transformer = transformer
        self._grid = grid
        self._grids = grids
        self._handles: dict[str, list[Any]] = {}
        self._rows: Tensor | None = None
        self._added: Tensor | None = None

    def arrange(self, inputs: Inputs) -> tuple[Tensor, list[Shape]]:
        """Return the transformer's ``hidden_states`` and ``img_shapes`` for these inputs.

        Positions that the stock forward would get wrong are set by the hook on the position
        embedding; ``img_shapes`` then only counts tokens (``zero_cond_t`` reads it for that).
        """
        batch = inputs.target.shape[0]
        filled = [(slot, tokens) for slot, tokens in enumerate(inputs.slots) if tokens is not None]
        parts = [inputs.target, *[_kept(tokens).expand(batch, -1, -1) for _, tokens in filled]]
        self._use_added(inputs.added)
        if self._is_stock(filled):
            self._rows = None
            shapes = [_shape(self._grid), *[_shape(self._grids[slot]) for slot, _ in filled]]
        else:
            self._rows = self._select(filled, inputs.target.device)
            self._install("pos_embed", _Positions(self))
            shapes = [_shape(self._grid), *[(1, 1, part.shape[1]) for part in parts[1:]]]
        return (torch.cat(parts, dim=1) if filled else inputs.target), shapes

    def remove(self) -> None:
        """Take every hook off."""
        for handles in self._handles.values():
            for handle in handles:
                handle.remove()
        self._handles.clear()

    @property
    def positions(self) -> tuple[list[Shape], Tensor] | None:
        """The whole pictures, and which rows of their positions the sequence has."""
        if self._rows is None:
            return None
        return [_shape(self._grid), *[_shape(grid) for grid in self._grids]], self._rows

    @property
    def added(self) -> Tensor | None:
        """What joins the target after the input projection, ``[B,T,width]``."""
        return self._added

    def _is_stock(self, filled: list[tuple[int, Tokens]]) -> bool:
        """Whether the stock forward gives every token and the text their right positions."""
        if any(tokens.keep is not None for _, tokens in filled):
            return False
        slots = [slot for slot, _ in filled]
        missing = [grid for slot, grid in enumerate(self._grids) if slot not in slots]
        reach = max(_reach(grid) for grid in [self._grid, *[self._grids[slot] for slot in slots]])
        return slots == list(range(len(slots))) and all(_reach(grid) <= reach for grid in missing)

    def _select(self, filled: list[tuple[int, Tokens]], device: torch.device) -> Tensor:
        counts = [prod(_shape(grid)) for grid in (self._grid, *self._grids)]
        rows = [torch.arange(counts[0], device=device)]
        for slot, tokens in filled:
            start = sum(counts[: slot + 1])
            places = (
                torch.arange(counts[slot + 1], device=device)
                if tokens.keep is None
                else tokens.keep
            )
            rows.append(start + places)
        return torch.cat(rows)  # [T + kept]

    def _use_added(self, added: Tensor | None) -> None:
        self._added = added
        if added is not None:
            self._install("img_in", _Added(self))

    def _install(self, name: str, hook: Any) -> None:
        if name not in self._handles:
            self._handles[name] = hook.register(getattr(self._transformer, name))


class _Positions:
    """Asks the position embedding for whole pictures, and passes on the rows that are there."""

    def __init__(self, owner: ModelHooks) -> None:
        self._owner = owner

    def register(self, module: torch.nn.Module) -> list[Any]:
        return [
            module.register_forward_pre_hook(self._whole, with_kwargs=True),
            module.register_forward_hook(self._rows),
        ]

    def _whole(self, _module: Any, args: Any, kwargs: Any) -> Any:
        positions = self._owner.positions
        if positions is None:
            return None
        return ([positions[0]], *args[1:]), kwargs

    def _rows(self, _module: Any, _args: Any, output: Any) -> Any:
        positions = self._owner.positions
        if positions is None:
            return None
        image, text = output
        return image[positions[1]], text


class _Added:
    """Adds to the target's part of the projected sequence."""

    def __init__(self, owner: ModelHooks) -> None:
        self._owner = owner

    def register(self, module: torch.nn.Module) -> list[Any]:
        return [module.register_forward_hook(self._add)]

    def _add(self, _module: Any, _args: Any, output: Tensor) -> Tensor | None:
        added = self._owner.added
        if added is None:
            return None
        tokens = added.shape[1]
        return torch.cat([output[:, :tokens] + added, output[:, tokens:]], dim=1)


def _kept(tokens: Tokens) -> Tensor:
    return tokens.latents if tokens.keep is None else tokens.latents[:, tokens.keep]


def _shape(grid: Grid | None) -> Shape:
    """A reference that never acts holds its place on the frame axis with a single token."""
    return (1, 1, 1) if grid is None else (1, *grid)


def _reach(grid: Grid | None) -> int:
    """How far a picture pushes the text's positions: the embedding centres rows and columns."""
    return 0 if grid is None else max(grid[0] // 2, grid[1] // 2)
