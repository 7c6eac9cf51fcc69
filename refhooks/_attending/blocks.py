"""What one block's attention does with each group of keys at a step, as tensors and constants."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
import torch

from refhooks._attending.merging import KeyGroup, shares
from refhooks._core.contract.values import BASE, GroupEdit, Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks._core.contract.values import KeyValues

    Part = tuple[Tensor, Tensor]

__all__ = ["BlockGroup", "block_groups", "cut", "extents", "key_groups", "target_shares"]


@attrs.frozen(eq=False)
class BlockGroup:
    """One group of keys in one block, as tensors and constants.

    Attributes:
        place: 0 for text and target, else the slot's number plus 1.
        extent: ``[K,0]``, whose length is the number of the group's own tokens: a number in a
            shape may change without a new graph, a plain one may not.
        weight: ``[L]``, or ``None``: 1.
        key_scale: ``[1 or D]``, or ``None``: 1.
        separate: Whether it has a softmax of its own.
        load: Keys and values ``[B,R,H,D]`` to use instead.
        store: Buffers ``[B,R,H,D]`` to fill, and ``[B,2]`` for how far they moved, or ``None``.
        value_scale: ``[1 or D]``, or ``None``: 1.
        rows: Where the group's own keys and values are put in ``load``, ``[F]``; ``None``: nowhere.
    """

    place: int
    extent: Tensor
    weight: Tensor | None = None
    key_scale: Tensor | None = None
    separate: bool = False
    load: tuple[Tensor, Tensor] | None = None
    store: tuple[tuple[Tensor, Tensor, Tensor | None], ...] = ()
    value_scale: Tensor | None = None
    rows: Tensor | None = None


def extents(layout: Layout, device: torch.device) -> list[Tensor]:
    """Return the extent of text and target together, then of each slot, 0 where it is empty."""
    lengths = [_length(layout.text) + _length(layout.target)]
    lengths += [0 if own is None else _length(own) for own in layout.slots]
    return [torch.empty(length, 0, device=device) for length in lengths]


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def block_groups(
    extents: Sequence[Tensor],
    edits: Sequence[GroupEdit],
    block: int,
    queries: slice = slice(None),
) -> tuple[BlockGroup, ...]:
    """Return a block's groups: text and target first, then every slot that is filled or loaded.

    Args:
        extents: As :func:`extents` gives them.
        edits: Of the step, one a group.
        block: 0-based.
        queries: The queries of the sequence that are asked; all by default.
    """
    by_place = {0 if edit.group == BASE else int(edit.group) + 1: edit for edit in edits}
    return tuple(
        _block_group(place, extent, by_place.get(place), block, queries)
        for place, extent in enumerate(extents)
        if extent.shape[0] or (place in by_place and by_place[place].load is not None)
    )


def _block_group(
    place: int, extent: Tensor, edit: GroupEdit | None, block: int, queries: slice
) -> BlockGroup:
    if edit is None:
        return BlockGroup(place, extent)
    weight = _of_block(edit.weight, block)
    return BlockGroup(
        place=place,
        extent=extent,
        weight=None if weight is None else weight[queries],
        key_scale=_of_block(edit.key_scale, block),
        separate=edit.separate,
        load=None if edit.load is None else (edit.load.keys[block], edit.load.values[block]),
        store=tuple(_stored_to(entry, block) for entry in edit.store),
        value_scale=_of_block(edit.value_scale, block),
        rows=edit.rows,
    )


def _stored_to(entry: KeyValues, block: int) -> tuple[Tensor, Tensor, Tensor | None]:
    drift = None if entry.drift is None else entry.drift[block]
    return entry.keys[block], entry.values[block], drift


def _of_block(value: Tensor | None, block: int) -> Tensor | None:
    """The block's row of a tensor that has one row for all blocks, or one each."""
    return None if value is None else value[block if value.shape[0] > 1 else 0]


def cut(
    groups: Sequence[BlockGroup], keys: Tensor, values: Tensor
) -> tuple[list[Part], list[slice]]:
    """Cut the keys and values of a sequence, ``[B,L,H,D]``, into those of groups that follow.

    Returns:
        Keys and values ``[B,K,H,D]`` of each group, and where its own queries stand.
    """
    lengths = [group.extent.shape[0] for group in groups]
    parts = list(zip(keys.split(lengths, dim=1), values.split(lengths, dim=1), strict=True))
    own, start = [], 0
    for length in lengths:
        own.append(slice(start, start + length))
        start += length
    return parts, own


def key_groups(
    groups: Sequence[BlockGroup],
    parts: Sequence[Part],
    own: Sequence[slice],
    text_mask: Tensor | None,
) -> list[KeyGroup]:
    """Apply what changes keys and values, and fill what is to be stored.

    Args:
        groups: Of the block.
        parts: Keys and values ``[B,K,H,D]`` of each group's own tokens.
        own: Where the own queries of each group stand among those that ask.
        text_mask: ``[B,S]``, 1 for a token and 0 for padding, of the first keys of text and target;
            ``None``: nothing is padded.
    """
    return [
        _key_group(group, keys, values, where, text_mask)
        for group, (keys, values), where in zip(groups, parts, own, strict=True)
    ]


def _key_group(
    group: BlockGroup, keys: Tensor, values: Tensor, own: slice, text_mask: Tensor | None
) -> KeyGroup:
    place = keys.device  # the blocks of a model may be spread over several
    if group.load is not None:
        if group.rows is not None:
            rows = group.rows.to(group.load[0].device)
            group.load[0].index_copy_(1, rows, keys.to(group.load[0]))
            group.load[1].index_copy_(1, rows, values.to(group.load[1]))
        keys, values = (loaded.to(place) for loaded in group.load)
    for stored_keys, stored_values, drift in group.store:
        if drift is not None:
            moved = (_moved(stored_keys, keys), _moved(stored_values, values))
            drift.copy_(torch.stack(moved, dim=-1))  # [B,2]
        stored_keys.copy_(keys)
        stored_values.copy_(values)
    if group.key_scale is not None:
        keys = keys * group.key_scale.to(keys)
    if group.value_scale is not None:
        values = values * group.value_scale.to(values)
    mask = None
    if text_mask is not None and group.place == 0:
        rest = keys.shape[1] - text_mask.shape[1]
        mask = torch.nn.functional.pad(text_mask.bool(), (0, rest), value=True)  # [B,S+T]
    weight = None if group.weight is None else group.weight.to(place)
    return KeyGroup(keys, values, weight, mask, group.separate, own)


def _moved(old: Tensor, new: Tensor) -> Tensor:
    """``‖new − old‖ / ‖new‖`` of each sample, ``[B]``, in float32."""
    norm = functools.partial(torch.linalg.vector_norm, dim=(1, 2, 3), dtype=torch.float32)
    moved: Tensor = norm(new - old) / norm(new).clamp_min(torch.finfo(torch.float32).tiny)
    return moved


def target_shares(query: Tensor, groups: Sequence[KeyGroup], target: slice) -> Tensor:
    """Return the shares of the target's queries, ``[groups,B]``.

    Args:
        query: ``[B,L,H,D]``.
        groups: As for :func:`refhooks.attention.merged_attention`.
        target: Where the target's queries stand.
    """
    seen = [
        group._replace(weight=None if group.weight is None else group.weight[target])
        for group in groups
    ]
    return shares(query[:, target], seen, each=True)
