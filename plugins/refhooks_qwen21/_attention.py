"""The attention processor of a run: the stock one, or one that weighs what the target sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_qwenimage21 import (
    QwenImage21AttnProcessor,
    apply_rotary_emb_qwen,
)

from refhooks.attention import BlockGroup, BlockProcessor, Processors, key_groups, stock_modules
from refhooks_qwen21._prefix import RunLayerCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks_qwen21._first import Piece

    Part = tuple[Tensor, Tensor]


_PARTS = (
    "to_q", "to_k", "to_v", "norm_q", "norm_k", "to_out",
)  # fmt: skip


def check(transformer: Any) -> None:
    """Refuse a ``QwenImage21Transformer2DModel`` whose attention cannot be edited.

    Raises:
        InputError: It is fused, another library's, or not the stock one, or runs in parallel.
    """
    stock_modules(transformer.transformer_blocks, QwenImage21AttnProcessor, _PARTS)


def processors(transformer: Any, *, record: bool) -> Processors:
    """Return those of a run on a ``QwenImage21Transformer2DModel``.

    Raises:
        InputError: The model's attention is not the stock one, or runs in parallel.
    """
    modules = stock_modules(transformer.transformer_blocks, QwenImage21AttnProcessor, _PARTS)
    return Processors(modules, PrefixProcessor, QwenImage21AttnProcessor, record=record)


class PrefixProcessor(BlockProcessor):
    """Attention of one block: a prefix of text and references that is kept, then the target.

    Attributes:
        text: Where the text stands in the kept prefix, as starts and stops.
        slots: Where each slot does, by its place: its number plus 1.
        text_mask: ``[B,S]`` of the text, or ``None``.
        valid: Rows of the stock prefix that are kept; ``None``: all.
        pieces: Of the prefix, for the pass that computes it; empty: it is the stock one.
    """

    def __init__(self, stock: Any, *, record: bool) -> None:
        super().__init__(stock, record=record)
        self.text: list[tuple[int, int]] = []
        self.slots: dict[int, slice] = {}
        self.text_mask: Tensor | None = None
        self.valid: Tensor | None = None
        self.pieces: tuple[Piece, ...] = ()

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        attention_mask: Any | None = None,
        rotary_emb: Tensor | None = None,
        layer_cache: Any | None = None,
        kv_cache_mode: str | None = None,
        cache_write_slice: slice | None = None,
        segments: list[tuple[int, int, bool]] | None = None,
        key_valid: Tensor | None = None,
    ) -> Tensor:
        """Attend; ``hidden_states`` are the whole sequence, or the target alone, ``[B,L,E]``.

        Every parameter is named: diffusers drops those that a signature does not show. A cache of
        another class is of another call of the model, which has the stock attention.
        """
        ours = (self.edited or self.record) if segments is None else bool(self.pieces)
        if not (ours and isinstance(layer_cache, RunLayerCache)):
            out: Tensor = self.stock(
                attn, hidden_states, attention_mask, rotary_emb, layer_cache, kv_cache_mode,
                cache_write_slice, segments, key_valid,
            )  # fmt: skip
            return out
        query, keys, values = _project(attn, hidden_states, rotary_emb)
        if segments is not None:
            end = segments[-1][1]
            return _finish(attn, self._first(query, keys, values, end, key_valid, layer_cache))
        groups = key_groups(*self._parts(keys, values, layer_cache.get()), self.text_mask)
        joint = self.joined(query, groups)
        if joint is None:
            return self.stock(  # type: ignore[no-any-return]
                attn, hidden_states, attention_mask, rotary_emb, layer_cache, kv_cache_mode,
                cache_write_slice, segments, key_valid,
            )  # fmt: skip
        return _finish(attn, joint)

    def _parts(
        self, keys: Tensor, values: Tensor, prefix: Part
    ) -> tuple[list[BlockGroup], list[Part], list[slice]]:
        """Groups with their keys and values; slots that nothing changes join text and target.

        Each is attended on its own, so fewer are faster; where shares are recorded, or text and
        target are changed themselves, all are told apart.
        """
        apart = self.record or not _is_plain(self.groups[0])
        plain = [] if apart else [group for group in self.groups[1:] if _is_plain(group)]
        groups = [group for group in self.groups if group not in plain]
        spans = [self.slots[group.place] for group in plain]
        first = [slice(*ends) for ends in self.text]
        base = tuple(
            torch.cat([*(kept[:, at] for at in first), own, *(kept[:, at] for at in spans)], dim=1)
            for kept, own in zip(prefix, (keys, values), strict=True)
        )
        parts = [(base[0], base[1])]
        for group in groups[1:]:
            span = self.slots.get(group.place, slice(0, 0))  # of one that is loaded: nothing
            parts.append((prefix[0][:, span], prefix[1][:, span]))
        return groups, parts, [slice(0, 0)] * len(groups)

    def _first(
        self,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        end: int,
        key_valid: Tensor | None,
        layer_cache: Any,
    ) -> Tensor:
        """Compute and keep the prefix, of ``end`` rows with what fills it up, ``[B,L,H·D]``."""
        rows: Any = slice(0, end) if self.valid is None else self.valid
        kept = (keys[:, rows].clone(), values[:, rows].clone())
        layer_cache.store(*kept)
        out = torch.zeros_like(query)
        for piece in self.pieces:
            parts = [_taken(kept, spans) for spans in piece.spans]
            groups = key_groups(piece.groups, parts, piece.own, None)
            if piece.mask is not None:
                groups[0] = groups[0]._replace(mask=piece.mask)
            at: Any = slice(piece.start, piece.stop)
            at = at if self.valid is None else self.valid[at]
            out[:, at] = self.attend(query[:, at], groups)
        if key_valid is not None:
            key_valid = torch.cat([key_valid[:, :end][:, rows], key_valid[:, end:]], dim=1)
        out[:, end:] = dispatch_attention_fn(
            query[:, end:],
            torch.cat([kept[0], keys[:, end:]], dim=1),
            torch.cat([kept[1], values[:, end:]], dim=1),
            attn_mask=None if key_valid is None else key_valid[:, None, None],
            backend=self._attention_backend,
        )
        return out.flatten(2, 3)


def _taken(kept: Part, spans: Sequence[tuple[int, int]]) -> Part:
    """Keys and values that stand in some places of the prefix."""
    if len(spans) == 1:
        at = slice(*spans[0])
        return kept[0][:, at], kept[1][:, at]
    keys, values = (torch.cat([it[:, slice(*at)] for at in spans], dim=1) for it in kept)
    return keys, values


def _is_plain(group: BlockGroup) -> bool:
    changes = (group.weight, group.key_scale, group.value_scale, group.load)
    return not group.store and not group.separate and all(it is None for it in changes)


def _project(attn: Any, hidden: Tensor, rotary: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, ``[B,L,H,D]``."""
    size = attn.inner_dim // attn.heads
    query, keys, values = [
        layer(hidden).unflatten(-1, (-1, size)) for layer in (attn.to_q, attn.to_k, attn.to_v)
    ]
    query, keys = attn.norm_q(query).to(values.dtype), attn.norm_k(keys).to(values.dtype)
    if rotary is None:
        return query, keys, values
    query, keys = (apply_rotary_emb_qwen(x, rotary, use_real=False) for x in (query, keys))
    return query, keys, values


def _finish(attn: Any, joint: Tensor) -> Tensor:
    """What follows attention, of the joined result ``[B,L,H·D]``."""
    return attn.to_out[1](attn.to_out[0](joint))  # type: ignore[no-any-return]
