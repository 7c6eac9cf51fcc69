"""The ways in which the model is trained to see its references, and the batches for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from refhooks_toy._pool import Pool
    from refhooks_toy._text import Words

GRID: Final = (1, 8, 8)
"""Frames, rows and columns of a picture's tokens."""

TEXT: Final = {0: 32, 1: 32, 2: 44}
"""Text tokens of a batch, padding included, for each number of pictures shown to the text encoder;
few lengths, since each is compiled once."""


@attrs.frozen
class Mode:
    """One way of showing references.

    So many of them as image `tokens`, so many `shown` to the text encoder, and with `concat` the
    first one in the input channels. `share` is how often it is trained.
    """

    share: float
    tokens: int = 0
    shown: int = 0
    concat: bool = False


MODES: Final = {
    "tokens+vision": Mode(0.55, tokens=1, shown=1),
    "tokens": Mode(0.11, tokens=1),
    "vision": Mode(0.05, shown=1),
    "neither": Mode(0.05),
    "two references": Mode(0.13, tokens=2, shown=2),
    "concat+vision": Mode(0.08, shown=1, concat=True),
    "concat": Mode(0.03, concat=True),
}


@attrs.frozen(eq=False)
class Batch:
    """What a step needs.

    Packed latents of the right answers `[B, T, 64]`, the changed tokens `[B, T]`, the references
    `[B, R, 64]`, the reference for the input channels, text ids and mask `[B, S]`, and the pictures
    for the vision tower `[B·pictures, H, W, 3]`.
    """

    right: Tensor
    changed: Tensor
    references: Tensor
    concat: Tensor | None
    ids: Tensor
    mask: Tensor
    pictures: Tensor | None


@attrs.frozen(eq=False)
class Batches:
    """Draws batches from a pool; a step's batch depends on its generator only."""

    pool: Pool
    words: Words
    size: int
    text_dropped: float = 0.08

    def draw(self, mode: Mode, generator: torch.Generator) -> Batch:
        """Draw the batch of a mode."""
        pool, size = self.pool, self.size
        if mode.tokens == 2:
            half = size * 3 // 5
            rows = torch.cat(
                [_pick(pool.two, half, generator), _pick(pool.one, size - half, generator)]
            )
        else:
            rows = _pick(pool.one, size, generator)
        references, pictures = [pool.source[rows]], [pool.seen[rows]]
        if mode.tokens == 2:
            extra, extra_seen = self._extras(rows, generator)
            references.append(extra)
            pictures.append(extra_seen)
        shown = torch.stack(pictures, dim=1).flatten(0, 1) if mode.shown else None
        ids, mask = self._text(rows, mode.shown, generator)
        empty = pool.source.new_zeros(size, 0, pool.source.shape[-1])
        return Batch(
            right=pool.right[rows].float(),
            changed=pool.changed[rows],
            references=torch.cat(references, dim=1).float() if mode.tokens else empty.float(),
            concat=references[0].float() if mode.concat else None,
            ids=ids,
            mask=mask,
            pictures=shown,
        )

    def _extras(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Picture 2 of each row; a row without one gets some other row's source."""
        pool = self.pool
        others = _pick(torch.arange(len(pool.source)), len(rows), generator)
        extra, extra_seen = pool.source[others], pool.seen[others]
        own = pool.extra_row[rows]
        extra[own >= 0] = pool.extra[own[own >= 0]]
        extra_seen[own >= 0] = pool.extra_seen[own[own >= 0]]
        return extra, extra_seen

    def _text(self, rows: Tensor, shown: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        ids, mask = self.pool.ids[rows], self.pool.mask[rows]
        dropped = torch.rand(len(rows), generator=generator) < self.text_dropped
        empty = torch.tensor(self.words.ids([" "], 0)[0])
        blank = functional.pad(empty, (0, ids.shape[1] - len(empty)))
        ids = torch.where(dropped[:, None], blank, ids)
        kept = torch.arange(ids.shape[1]) < len(empty)
        mask = torch.where(dropped[:, None], kept, mask)
        slots = torch.tensor(self.words.slots(shown), dtype=torch.long).expand(len(rows), -1)
        room = TEXT[shown] - slots.shape[1] - ids.shape[1]
        ids = functional.pad(torch.cat([slots, ids], dim=1), (0, room))
        mask = functional.pad(
            torch.cat([torch.ones_like(slots, dtype=torch.bool), mask], dim=1), (0, room)
        )
        return ids, mask


def _pick(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return rows[torch.randint(len(rows), (count,), generator=generator)]
