"""The sequence of a pass as the transformer has it: references within the text, target last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks import HookReturnError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from refhooks import Inputs, Layout, Text, Tokens

Grid = tuple[int, int]
PLACE = 4  # tokens of a picture in one place of the text encoder
LEAST = (2, 2)  # the smallest target


@attrs.frozen(eq=False)
class Sequence21:
    """Where everything stands.

    A slot that passes on a number of tokens which is no multiple of 4 is filled up to one with
    tokens that nothing attends to: the stock forward counts a picture in places of four.

    Attributes:
        text: The encoded prompt.
        filled: Number and tokens of the filled slots.
        grids: Rows and columns of each reference, ``None`` where it gives no tokens.
    """

    text: Text
    filled: tuple[tuple[int, Tokens], ...]
    grids: tuple[Grid | None, ...]

    @property
    def pieces(self) -> Iterator[tuple[int, int, int]]:
        """Slot, −1 for text; where it begins in its own tokens, or its own text; how many."""
        done = 0
        for slot, tokens in self.filled:
            place = self.text.places[slot]
            if place > done:
                yield -1, done, place - done
            done = max(done, place)
            yield slot, 0, _count(tokens)
        rest = self.text.embeds.shape[1] - done
        if rest:
            yield -1, done, rest

    @property
    def whole(self) -> bool:
        """Whether no filled slot leaves tokens out."""
        return all(tokens.keep is None for _, tokens in self.filled)

    @property
    def native(self) -> bool:
        """Whether the stock forward gives every token its right position."""
        filled = [slot for slot, _ in self.filled]
        with_tokens = [slot for slot, grid in enumerate(self.grids) if grid is not None]
        return self.whole and filled == with_tokens

    def embeds(self) -> tuple[Tensor, Tensor | None]:
        """Return what stands for ``encoder_hidden_states`` and its mask, zero where pictures are.

        Returns:
            ``[B,places,E]`` and ``[B,places]`` or ``None``.
        """
        text = self.text
        parts, masks = [], []
        for slot, start, count in self.pieces:
            if slot < 0:
                parts.append(text.embeds[:, start : start + count])
                masks.append(None if text.mask is None else text.mask[:, start : start + count])
            else:
                batch, _, width = text.embeds.shape
                parts.append(text.embeds.new_zeros(batch, _places(count), width))
                own = text.mask
                masks.append(None if own is None else own.new_ones(batch, _places(count)))
        mask = None if text.mask is None else torch.cat([m for m in masks if m is not None], dim=1)
        return torch.cat(parts, dim=1), mask

    def img_mask(self, target: Grid, device: torch.device) -> Tensor:
        """Return which places are of pictures, ``[1,places]``, the target's at the end."""
        parts = [
            torch.zeros(count, dtype=torch.bool)
            if slot < 0
            else torch.ones(_places(count), dtype=torch.bool)
            for slot, _, count in self.pieces
        ]
        last = torch.ones(target[0] * target[1] // PLACE, dtype=torch.bool)
        return torch.cat([*parts, last])[None].to(device)

    def shapes(self, target: Grid) -> list[tuple[int, int, int]]:
        """Return ``img_shapes``: those of the references, with what fills them up, and target."""
        shapes = []
        for slot, tokens in self.filled:
            count = _count(tokens)
            grid = self.grids[slot]
            own = (1, count) if tokens.keep is not None or grid is None else grid
            shapes.append((1, *own))
            if _places(count) * PLACE > count:
                shapes.append((1, 1, _places(count) * PLACE - count))
        return [*shapes, (1, *target)]

    def hidden(self, target: Tensor) -> Tensor:
        """Return latents of references, filled up, and of the target, ``[B,R+T,C]``."""
        parts = []
        for _, tokens in self.filled:
            latents = tokens.latents if tokens.keep is None else tokens.latents[:, tokens.keep]
            _, count, channels = latents.shape
            parts.append(latents.expand(target.shape[0], -1, -1))
            more = _places(count) * PLACE - count
            if more:
                parts.append(latents.new_zeros(target.shape[0], more, channels))
        return torch.cat([*parts, target], dim=1) if parts else target

    def spans(self) -> tuple[list[tuple[int, int]], dict[int, slice]]:
        """Return where text and slots stand in the prefix, without what only fills up."""
        text, slots, start = [], {}, 0
        for slot, _, count in self.pieces:
            if slot < 0:
                text.append((start, start + count))
            else:
                slots[slot] = slice(start, start + count)
            start += count
        return text, slots

    def order(self, layout: Layout) -> Tensor:
        """Return, of each row of the kept prefix, its place in logical order, ``[P]``.

        Of a slot that is in the prefix alone, since its keys are loaded, it is -1.
        """
        rows = []
        for slot, start, count in self.pieces:
            own = layout.text if slot < 0 else layout.slots[slot]
            if own is None:
                rows.append(torch.full((count,), -1))
            else:
                rows.append(torch.arange(count) + own.start + start)
        return torch.cat(rows)

    def valid(self) -> Tensor | None:
        """Return the rows of the stock prefix that are no filling, ``[P]``; ``None``: all are."""
        rows, start, filling = [], 0, False
        for slot, _, count in self.pieces:
            rows.append(torch.arange(start, start + count))
            taken = count if slot < 0 else _places(count) * PLACE
            filling |= taken > count
            start += taken
        return torch.cat(rows) if filling else None

    def rotary(
        self, embedding: Any, target: Grid, device: torch.device, keep: Tensor | None = None
    ) -> Tensor:
        """Return the rotary embedding of the whole sequence, ``[L,D/2]``, complex.

        Every reference keeps its position, and so does the text, whether its tokens are there or
        not; of the target, those of the tokens in ``keep``.

        Raises:
            HookReturnError: ``keep`` names a token that the picture does not have.
        """
        own = _block(self._end(), target)
        own = own if keep is None else own[_kept(keep, "keep", len(own))]
        index = torch.cat([*self._prefix_positions(), own])  # [L,3]
        axes = [axis.cpu() for axis in embedding.freqs]
        return torch.cat([axis[index[:, n]] for n, axis in enumerate(axes)], dim=1).to(device)

    def _prefix_positions(self) -> Iterator[Tensor]:
        filled = dict(self.filled)
        for slot, start, count in self.pieces:
            if slot < 0:
                for first, stop in self._cuts(start, start + count):
                    run = torch.arange(stop - first) + first + self._passed(first)
                    yield run[:, None].expand(-1, 3)
                continue
            grid = self.grids[slot]
            assert grid is not None  # noqa: S101  the core lets nothing fill the slot of such a one
            whole = _block(self.text.places[slot] + self._before(slot), grid)
            keep = filled[slot].keep
            yield whole if keep is None else whole[_kept(keep, f"slot {slot}.keep", len(whole))]
            yield torch.zeros(_places(count) * PLACE - count, 3, dtype=torch.long)

    def _cuts(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """A run of text, cut where a slot that is empty has its place."""
        places = sorted({place for place in self.text.places if start < place < stop})
        yield from zip([start, *places], [*places, stop], strict=True)

    def _passed(self, token: int) -> int:
        """How far the pictures before a token of text move it."""
        places = self.text.places
        return sum(
            max(grid)
            for slot, grid in enumerate(self.grids)
            if grid is not None and places[slot] <= token
        )

    def _before(self, slot: int) -> int:
        return sum(max(grid) for grid in self.grids[:slot] if grid is not None)

    def _end(self) -> int:
        length = self.text.embeds.shape[1]
        return length + sum(max(grid) for grid in self.grids if grid is not None)


def as_grid(tokens: int) -> Grid:
    """Return a grid of so many tokens, for what the stock forward counts.

    Raises:
        HookReturnError: They do not fill the places of the text encoder.
    """
    if tokens % PLACE:
        raise HookReturnError(
            f"keep names {tokens} tokens of the target, and the model takes a multiple of {PLACE};"
            " name as many"
        )
    rows = max(rows for rows in range(1, math.isqrt(tokens) + 1) if tokens % rows == 0)
    return rows, tokens // rows


def _count(tokens: Tokens) -> int:
    return int(tokens.latents.shape[1] if tokens.keep is None else tokens.keep.shape[0])


def _places(count: int) -> int:
    return -(-count // PLACE)


def _block(frame: int, grid: Grid) -> Tensor:
    """Frame, row and column of each token of a picture, which is centred, ``[rows·columns,3]``."""
    rows, columns = grid
    row = torch.arange(rows) - (rows - rows // 2)
    column = torch.arange(columns) - (columns - columns // 2)
    return torch.cartesian_prod(torch.tensor([frame]), row, column)


def _kept(keep: Tensor, whose: str, count: int) -> Tensor:
    rows = keep.cpu()
    if int(rows.min()) < 0 or int(rows.max()) >= count:
        raise HookReturnError(
            f"{whose} must name tokens from 0 to {count - 1},"
            f" got {int(rows.min())} to {int(rows.max())}"
        )
    return rows


def slot_keys(inputs: Inputs) -> Sequence[tuple[int, Tokens]]:
    """Return number and tokens of the filled slots."""
    return [(slot, tokens) for slot, tokens in enumerate(inputs.slots) if tokens is not None]
