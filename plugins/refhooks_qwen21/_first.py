"""How the first pass attends where it is not the stock one: piece by piece, to weighted groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import attrs
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from refhooks.attention import BlockGroup

Span = tuple[int, int]


class Piece(NamedTuple):
    """A run of text, or a slot, in the kept prefix: the rows of it see the same groups of keys.

    A named tuple of constants and tensors, as compiled blocks need it.

    Attributes:
        start: Its first row.
        stop: Its end.
        groups: What it sees, text first; weights are of its own rows, ``[stop − start]``.
        spans: Where each group's keys stand in the prefix.
        own: Its own rows, for the group that it is of; else none.
        mask: ``[1 or B,stop − start,K]`` of the first group, true for a key that counts, or
            ``None``.
    """

    start: int
    stop: int
    groups: tuple[BlockGroup, ...]
    spans: tuple[tuple[Span, ...], ...]
    own: tuple[slice, ...]
    mask: Tensor | None


def pieces_of(
    groups: Sequence[BlockGroup],
    text: Sequence[Span],
    slots: Mapping[int, slice],
    order: Tensor,
    masks: Sequence[Tensor | None],
) -> tuple[Piece, ...]:
    """Return the pieces of a prefix for one block.

    Text sees what stands before it and the text up to itself; a picture what stands before it, and
    all of itself.

    Args:
        groups: Of the block, with weights in logical order.
        text: Where text stands.
        slots: Where each slot does, by its place: its number plus 1.
        order: Of each row of the prefix, its place in logical order, ``[P]``.
        masks: Of each piece, as :func:`masks_of` gives them.
    """
    pieces = []
    for (start, stop, place), mask in zip(ends(text, slots), masks, strict=True):
        spans = {0: tuple((a, min(b, stop)) for a, b in text if a < stop)}
        spans |= {slot: ((it.start, it.stop),) for slot, it in slots.items() if it.start < stop}
        seen = [group for group in groups if spans.get(group.place)]
        rows = order[start:stop]
        pieces.append(
            Piece(
                start,
                stop,
                tuple(
                    attrs.evolve(it, weight=None if it.weight is None else it.weight[rows])
                    for it in seen
                ),
                tuple(spans[it.place] for it in seen),
                tuple(slice(0, stop - start if it.place == place else 0) for it in seen),
                mask,
            )
        )
    return tuple(pieces)


def ends(text: Sequence[Span], slots: Mapping[int, slice]) -> list[tuple[int, int, int]]:
    """Return where text and slots begin and end in the prefix, in order, and their places."""
    pictures = [(span.start, span.stop, place) for place, span in slots.items()]
    return sorted([*((start, stop, 0) for start, stop in text), *pictures])


def masks_of(
    text: Sequence[Span], slots: Mapping[int, slice], text_mask: Tensor | None, device: torch.device
) -> list[Tensor | None]:
    """Return which text each piece sees: that before it, up to the row itself, and no padding.

    Args:
        text: As for :func:`pieces_of`.
        slots: Likewise.
        text_mask: ``[B,S]``, 1 for a token and 0 for padding, or ``None``.
        device: Of the run.
    """
    stands = torch.cat([torch.arange(*span) for span in text]).to(device)  # [S]
    masks: list[Tensor | None] = []
    before = 0
    for start, stop, place in ends(text, slots):
        before += 0 if place else stop - start
        mask = None
        if not place:
            rows = torch.arange(start, stop, device=device)
            mask = (stands[:before] <= rows[:, None])[None]  # [1,rows,K]
        if text_mask is not None and before:
            valid = text_mask[:, None, :before].bool().to(device)  # [B,1,K]
            mask = valid.expand(-1, stop - start, -1) if mask is None else mask & valid
        masks.append(mask)
    return masks
