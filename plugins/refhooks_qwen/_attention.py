"""The attention processor of a run: the stock one, or one merged attention over weighted groups."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

import attrs
import torch
from diffusers.models.attention_dispatch import (
    _AttentionBackendRegistry,
    dispatch_attention_fn,
)
from diffusers.models.transformers.transformer_qwenimage import (
    QwenDoubleStreamAttnProcessor2_0,
    apply_rotary_emb_qwen,
)

from refhooks import InputError, Layout, RefhooksWarning
from refhooks.attention import GroupEdit, KeyGroup, merged_attention, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import KeyValues

_OURS = ("native", "_native_flash")  # backends whose kernels merged attention uses too


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
    """

    place: int
    extent: Tensor
    weight: Tensor | None = None
    key_scale: Tensor | None = None
    separate: bool = False
    load: tuple[Tensor, Tensor] | None = None
    store: tuple[tuple[Tensor, Tensor, Tensor | None], ...] = ()
    value_scale: Tensor | None = None


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

    def install(self) -> None:
        """Put them on."""
        for (module, _), ours in zip(self._stock, self._ours, strict=True):
            module.set_processor(ours)

    def plan(self, layout: Layout, edits: Sequence[GroupEdit], device: torch.device) -> None:
        """Set what every block does in the next forward pass."""
        extents = _extents(layout, device)
        for block, processor in enumerate(self._ours):
            processor.edited = bool(edits)
            processor.groups = _block_groups(extents, edits, block)

    def recorded(self, references: int) -> Tensor:
        """Return the shares of the last forward pass, ``[blocks,1+references,B]``."""
        place = self._ours[0].share.device
        stacked = torch.stack([one.share.to(place) for one in self._ours])  # [blocks,groups,B]
        table = stacked.new_zeros(stacked.shape[0], 1 + references, stacked.shape[2])
        table[:, [group.place for group in self._ours[0].groups]] = stacked
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
        groups = _key_groups(self.groups, keys, values, encoder_hidden_states_mask)
        text = encoder_hidden_states.shape[1]
        if self._record:
            target = slice(text, self.groups[0].extent.shape[0])
            self.share = _target_shares(query, groups, target)
            if not self.edited:
                return out
        joint = self._attend(query, groups).flatten(2, 3)  # [B,L,H·D]
        image = attn.to_out[0](joint[:, text:].contiguous())
        return attn.to_out[1](image), attn.to_add_out(joint[:, :text].contiguous())

    def _attend(self, query: Tensor, groups: Sequence[KeyGroup]) -> Tensor:
        """Attend, ``[B,L,H,D]``: as the stock processor does where no group has a weight."""
        if any(group.weight is not None for group in groups):
            return merged_attention(query, groups)
        mask = groups[0].mask  # of text and target; the other groups have none
        if mask is not None:
            others = sum(group.keys.shape[1] for group in groups[1:])
            mask = torch.nn.functional.pad(mask, (0, others), value=True)[:, None, None, :]
        attended: Tensor = dispatch_attention_fn(
            query,
            torch.cat([group.keys for group in groups], dim=1),
            torch.cat([group.values for group in groups], dim=1),
            attn_mask=mask,
            backend=self._attention_backend,
        )
        return attended.to(query.dtype)


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
                " neither edited nor recorded; use default up to strength 1 (in compiled blocks"
                " only at 0 and 1), inject or concat, without region masks on tokens"
            )
        backend = processor._attention_backend or _AttentionBackendRegistry.get_active_backend()[0]
    name = getattr(backend, "value", backend)
    if name not in _OURS:
        warnings.warn(
            f"the attention backend {name!r} is not used at steps that edit attention: they need a"
            " log-sum-exp, and take torch's own kernels for it",
            RefhooksWarning,
            stacklevel=2,
        )


def _extents(layout: Layout, device: torch.device) -> list[Tensor]:
    """The extent of text and target together, then of each slot, 0 where it is empty."""
    lengths = [layout.target.stop - layout.text.start]
    lengths += [0 if own is None else own.stop - own.start for own in layout.slots]
    return [torch.empty(length, 0, device=device) for length in lengths]


def _block_groups(
    extents: Sequence[Tensor], edits: Sequence[GroupEdit], block: int
) -> tuple[BlockGroup, ...]:
    """Text and target first, then every slot that is filled or loaded."""
    by_place = {0 if edit.group == "base" else int(edit.group) + 1: edit for edit in edits}
    return tuple(
        _block_group(place, extent, by_place.get(place), block)
        for place, extent in enumerate(extents)
        if extent.shape[0] or (place in by_place and by_place[place].load is not None)
    )


def _block_group(place: int, extent: Tensor, edit: GroupEdit | None, block: int) -> BlockGroup:
    if edit is None:
        return BlockGroup(place, extent)
    return BlockGroup(
        place=place,
        extent=extent,
        weight=_of_block(edit.weight, block),
        key_scale=_of_block(edit.key_scale, block),
        separate=edit.separate,
        load=None if edit.load is None else (edit.load.keys[block], edit.load.values[block]),
        store=tuple(_stored_to(entry, block) for entry in edit.store),
        value_scale=_of_block(edit.value_scale, block),
    )


def _stored_to(entry: KeyValues, block: int) -> tuple[Tensor, Tensor, Tensor | None]:
    drift = None if entry.drift is None else entry.drift[block]
    return entry.keys[block], entry.values[block], drift


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


def _key_groups(
    groups: Sequence[BlockGroup], keys: Tensor, values: Tensor, text_mask: Tensor | None
) -> list[KeyGroup]:
    """Cut keys and values ``[B,L,H,D]`` into groups, and apply what changes them."""
    lengths = [group.extent.shape[0] for group in groups]
    key_groups, start = [], 0
    for group, length, own_keys, own_values in zip(
        groups, lengths, keys.split(lengths, dim=1), values.split(lengths, dim=1), strict=True
    ):
        own = slice(start, start + length)
        start += length
        key_groups.append(_key_group(group, own_keys, own_values, own, text_mask))
    return key_groups


def _key_group(
    group: BlockGroup, keys: Tensor, values: Tensor, own: slice, text_mask: Tensor | None
) -> KeyGroup:
    place = keys.device  # the blocks of a model may be spread over several
    if group.load is not None:
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


def _target_shares(query: Tensor, groups: Sequence[KeyGroup], target: slice) -> Tensor:
    """The shares of the target's queries, ``[groups,B]``."""
    seen = [
        group._replace(weight=None if group.weight is None else group.weight[target])
        for group in groups
    ]
    return shares(query[:, target], seen, each=True)
