"""The attention processor of a run: the stock one, or one merged attention over weighted groups."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import attrs
import torch
from diffusers.models.transformers.transformer_qwenimage import (
    QwenDoubleStreamAttnProcessor2_0,
    apply_rotary_emb_qwen,
)

from refhooks import InputError, Layout, RefhooksWarning
from refhooks.attention import GroupEdit, KeyGroup, merged_attention, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_WITH_LSE = ("native", "_native_cudnn", "_native_efficient", "_native_flash", "_native_math")


@attrs.frozen(eq=False)
class BlockGroup:
    """One group of keys in one block, as tensors and constants.

    Attributes:
        place: 0 for text and target, else the slot's number plus 1.
        own: Where its tokens stand in the sequence; ``None``: nowhere, its keys are loaded.
        weight: ``[L]``, or ``None``: 1.
        key_scale: ``[1 or D]``, or ``None``: 1.
        separate: Whether it has a softmax of its own.
        load: Keys and values ``[B,R,H,D]`` to use instead.
        store: Buffers ``[B,R,H,D]`` to fill.
    """

    place: int
    own: slice | None
    weight: Tensor | None = None
    key_scale: Tensor | None = None
    separate: bool = False
    load: tuple[Tensor, Tensor] | None = None
    store: tuple[tuple[Tensor, Tensor], ...] = ()


class Processors:
    """The processors of a run: one a block, put on before the first step, taken off at the end.

    Args:
        transformer: A ``QwenImageTransformer2DModel``.
        record: Whether shares are computed.

    Raises:
        InputError: The model's attention is not the stock one, or runs in parallel.
    """

    def __init__(self, transformer: Any, *, record: bool) -> None:
        modules = [block.attn for block in transformer.transformer_blocks]
        self._stock = [(module, module.processor) for module in modules]
        _check(module.processor for module in modules)
        self._ours = [MergedProcessor(stock, record=record) for _, stock in self._stock]
        for module, ours in zip(modules, self._ours, strict=True):
            module.set_processor(ours)

    def plan(self, layout: Layout, edits: Sequence[GroupEdit]) -> None:
        """Set what every block does in the next forward pass."""
        for block, processor in enumerate(self._ours):
            processor.groups = _block_groups(layout, edits, block)
            processor.target = layout.target
            processor.edited = bool(edits)

    def recorded(self, references: int) -> Tensor:
        """Return the shares of the last forward pass, ``[blocks,1+references]``."""
        found = torch.stack([processor.share for processor in self._ours])  # [blocks,groups]
        table = found.new_zeros(found.shape[0], 1 + references)
        table[:, [group.place for group in self._ours[0].groups]] = found
        return table

    def remove(self) -> None:
        """Put the stock processors back."""
        for module, stock in self._stock:
            module.set_processor(stock)


class MergedProcessor:
    """Attention of one block; what it does is set from outside, as tensors and constants."""

    def __init__(self, stock: QwenDoubleStreamAttnProcessor2_0, *, record: bool) -> None:
        self._stock = stock
        self._record = record
        self._attention_backend = stock._attention_backend
        self._parallel_config = stock._parallel_config
        self.groups: tuple[BlockGroup, ...] = ()
        self.target = slice(0, 0)
        self.edited = False
        self.share = torch.zeros(0)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Attend; ``hidden_states`` are target and references ``[B,T+R,E]``, the others the text.

        Every parameter is named: diffusers drops those that a signature does not show.
        """
        if not self.edited:
            out: tuple[Tensor, Tensor] = self._stock(
                attn,
                hidden_states,
                encoder_hidden_states,
                encoder_hidden_states_mask,
                attention_mask,
                image_rotary_emb,
            )
            if not self._record:
                return out
        query, keys, values = _project(attn, hidden_states, encoder_hidden_states, image_rotary_emb)
        groups = [
            _key_group(group, keys, values, encoder_hidden_states_mask) for group in self.groups
        ]
        if self._record:
            self.share = _target_shares(query, groups, self.target)
            if not self.edited:
                return out
        joint = merged_attention(query, groups).flatten(2, 3)  # [B,L,H·D]
        text = encoder_hidden_states.shape[1]
        image = attn.to_out[0](joint[:, text:].contiguous())
        return attn.to_out[1](image), attn.to_add_out(joint[:, :text].contiguous())


def _check(processors: Any) -> None:
    for processor in processors:
        if type(processor) is not QwenDoubleStreamAttnProcessor2_0:
            raise InputError(
                f"the transformer has the attention processor {type(processor).__name__}; what"
                " edits or records attention needs the stock one"
                " (transformer.set_attn_processor(QwenDoubleStreamAttnProcessor2_0()))"
            )
        if processor._parallel_config is not None:
            raise InputError(
                "the transformer runs in parallel over several devices, where attention can be"
                " neither edited nor recorded; use default or inject"
            )
        backend = processor._attention_backend
    name = getattr(backend, "value", backend)
    if name is not None and name not in _WITH_LSE:
        warnings.warn(
            f"the attention backend {name!r} gives no log-sum-exp; steps that edit attention use"
            " torch's own kernels",
            RefhooksWarning,
            stacklevel=2,
        )


def _block_groups(layout: Layout, edits: Sequence[GroupEdit], block: int) -> tuple[BlockGroup, ...]:
    """Text and target first, then every slot that is filled or loaded."""
    by_group = {edit.group: edit for edit in edits}
    base = slice(layout.text.start, layout.target.stop)
    groups = [_block_group(0, base, by_group.get("base"), block)]
    for slot, own in enumerate(layout.slots):
        edit = by_group.get(slot)
        if own is not None or (edit is not None and edit.load is not None):
            groups.append(_block_group(slot + 1, own, edit, block))
    return tuple(groups)


def _block_group(place: int, own: slice | None, edit: GroupEdit | None, block: int) -> BlockGroup:
    if edit is None:
        return BlockGroup(place, own)
    return BlockGroup(
        place=place,
        own=own,
        weight=_of_block(edit.weight, block),
        key_scale=_of_block(edit.key_scale, block),
        separate=edit.separate,
        load=None if edit.load is None else (edit.load.keys[block], edit.load.values[block]),
        store=tuple((entry.keys[block], entry.values[block]) for entry in edit.store),
    )


def _of_block(value: Tensor | None, block: int) -> Tensor | None:
    """The block's row of a tensor that has one row for all blocks, or one each."""
    return None if value is None else value[block if value.shape[0] > 1 else 0]


def _project(
    attn: Any, image: Tensor, text: Tensor, rotary: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of the whole sequence, text first, ``[B,L,H,D]``."""
    size = attn.inner_dim // attn.heads
    image_query = attn.norm_q(attn.to_q(image).unflatten(-1, (-1, size)))  # [B,T+R,H,D]
    image_keys = attn.norm_k(attn.to_k(image).unflatten(-1, (-1, size)))
    text_query = attn.norm_added_q(attn.add_q_proj(text).unflatten(-1, (-1, size)))  # [B,S,H,D]
    text_keys = attn.norm_added_k(attn.add_k_proj(text).unflatten(-1, (-1, size)))
    if rotary is not None:
        image_query, image_keys = (_rotated(x, rotary[0]) for x in (image_query, image_keys))
        text_query, text_keys = (_rotated(x, rotary[1]) for x in (text_query, text_keys))
    values = torch.cat([attn.add_v_proj(text), attn.to_v(image)], dim=1)
    return (
        torch.cat([text_query, image_query], dim=1),
        torch.cat([text_keys, image_keys], dim=1),
        values.unflatten(-1, (-1, size)),
    )


def _rotated(x: Tensor, frequencies: Tensor) -> Tensor:
    return apply_rotary_emb_qwen(x, frequencies, use_real=False)  # type: ignore[no-any-return]


def _key_group(
    group: BlockGroup, keys: Tensor, values: Tensor, text_mask: Tensor | None
) -> KeyGroup:
    if group.load is None:
        own_keys, own_values = keys[:, group.own], values[:, group.own]  # [B,K,H,D]
    else:
        own_keys, own_values = group.load
    for stored_keys, stored_values in group.store:
        stored_keys.copy_(own_keys)
        stored_values.copy_(own_values)
    if group.key_scale is not None:
        own_keys = own_keys * group.key_scale.to(own_keys.dtype)
    mask = None
    if text_mask is not None and group.place == 0:
        rest = own_keys.shape[1] - text_mask.shape[1]
        mask = torch.nn.functional.pad(text_mask.bool(), (0, rest), value=True)  # [B,S+T]
    return KeyGroup(own_keys, own_values, group.weight, mask, group.separate, group.own)


def _target_shares(query: Tensor, groups: Sequence[KeyGroup], target: slice) -> Tensor:
    """The shares of the target's queries, ``[groups]``."""
    seen = [
        group._replace(weight=None if group.weight is None else group.weight[target])
        for group in groups
    ]
    return shares(query[:, target], seen)
