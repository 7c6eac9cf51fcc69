"""What several plugins do to one group of keys, as one edit."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
import torch

from refhooks._core.contract.values import BASE, AttentionEdit, GroupEdit, Layout
from refhooks.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["combine"]


def combine(edits: Sequence[AttentionEdit], layout: Layout) -> tuple[GroupEdit, ...]:
    """Combine the edits of a step, one result a group.

    Raises:
        PluginError: Two edits load buffers for one group.
    """
    combined = []
    for group in dict.fromkeys(edit.group for edit in edits):
        own = [edit for edit in edits if edit.group == group]
        whole = _combine_group(group, own, layout)
        lasting = [edit for edit in own if edit.prefix]
        if lasting:
            part = whole if lasting == own else _combine_group(group, lasting, layout)
            whole = attrs.evolve(whole, prefix=attrs.evolve(part, store=(), load=None))
        combined.append(whole)
    return tuple(combined)


def _combine_group(group: int | str, edits: Sequence[AttentionEdit], layout: Layout) -> GroupEdit:
    loads = [edit.load for edit in edits if edit.load is not None]
    if len(loads) > 1:
        raise PluginError(f"two plugins load keys and values for group {group!r}; only one may")
    weight: Tensor | None = None
    for edit in edits:
        if edit.weight is not None:
            spread = _spread(edit.weight, group, layout)
            weight = spread if weight is None else weight * spread
    return GroupEdit(
        group=group,
        weight=weight,
        key_scale=_product([edit.key_scale for edit in edits]),
        separate=any(edit.separate for edit in edits),
        store=tuple(edit.store for edit in edits if edit.store is not None),
        load=loads[0] if loads else None,
        value_scale=_product([edit.value_scale for edit in edits]),
        sources=tuple(
            tensor for edit in edits for tensor in (edit.weight, edit.key_scale, edit.value_scale)
        ),
    )


def _product(scales: Sequence[Tensor | None]) -> Tensor | None:
    """Return the product of scales, ``[1 or blocks,1 or D]``; ``None`` if there is none."""
    product: Tensor | None = None
    for scale in scales:
        if scale is not None:
            spread = torch.atleast_2d(scale)
            product = spread if product is None else product * spread
    return product


def _spread(weight: Tensor, group: int | str, layout: Layout) -> Tensor:
    """Return a weight for each query: 1 for the group's own, the given one for the others."""
    if weight.ndim == 2:
        return weight
    own = (layout.text, layout.target) if group == BASE else (layout.slots[int(group)],)
    spans = tuple((part.start, part.stop) for part in own if part is not None)
    mask = _own_queries(spans, layout.length, weight.device)
    return torch.where(mask, 1.0, weight.reshape(-1, 1))  # [1 or blocks, L]


@functools.lru_cache(maxsize=64)
def _own_queries(spans: tuple[tuple[int, int], ...], length: int, device: torch.device) -> Tensor:
    """Which queries of a sequence are a group's own, ``[L]``; the same at every step of a run."""
    mask = torch.zeros(length, dtype=torch.bool, device=device)
    for start, stop in spans:
        mask[start:stop] = True
    return mask
