"""Checks of the attention edits that a hook returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks._base.shown import shown
from refhooks._core.contract.values import BASE, AttentionEdit, KeyValues, Layout
from refhooks._core.running.checks import Contract, finite, kind, tensor
from refhooks.errors import HookReturnError, PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence


def attention(
    new: Any, layout: Layout, blocks: int, contract: Contract, label: str, *, eager: bool
) -> Sequence[AttentionEdit]:
    """Check the edits that an implementation returned.

    Raises:
        HookReturnError: Not a list of edits, a group that is not there, a tensor of another shape,
            dtype or device, or a weight below 0.
        NotFiniteError: ``eager`` and a weight or scale holds NaN or infinity.
    """
    if not isinstance(new, list | tuple) or not all(isinstance(e, AttentionEdit) for e in new):
        raise HookReturnError(
            f"{label}: must return a list of refhooks.AttentionEdit, got {shown(new)}"
        )
    for edit in new:
        _group(edit, layout, label)
        if edit.weight is not None:
            _weight(edit.weight, layout, blocks, contract, label)
        for name, scale in (("key_scale", edit.key_scale), ("value_scale", edit.value_scale)):
            if scale is not None:
                _scale(scale, name, blocks, contract, label)
        for name, buffers in (("store", edit.store), ("load", edit.load)):
            if buffers is not None:
                _buffers(buffers, _length(edit, layout), blocks, contract, f"{label}: {name}")
        if eager:
            _values(edit, label)
    return new


def load_once(edits: Sequence[AttentionEdit], loaded: dict[int | str, str], label: str) -> None:
    """Check that nobody else loads for a group, and note who does.

    Raises:
        PluginError: Two load for one group; nobody can say which should win.
    """
    for edit in edits:
        if edit.load is not None:
            first = loaded.get(edit.group)
            if first is not None:
                who = "twice" if first is label else f"and so does {first}"
                raise PluginError(
                    f"{label}: loads keys and values for group {edit.group!r}, {who}; only one may,"
                    " once"
                )
            loaded[edit.group] = label


def _group(edit: AttentionEdit, layout: Layout, label: str) -> None:
    group, slots = edit.group, layout.slots
    if edit.separate and (edit.weight is None or group == BASE):
        raise HookReturnError(f"{label}: a separate group must be a slot, and have a weight")
    if group == BASE:
        return
    if not isinstance(group, int) or isinstance(group, bool) or not 0 <= group < len(slots):
        raise HookReturnError(
            f"{label}: group must be {BASE!r} or a slot from 0 to {len(slots) - 1}, got {group!r}"
        )
    if slots[group] is None and edit.load is None:
        raise HookReturnError(
            f"{label}: slot {group} is empty, so there are no keys to edit; fill it in"
            " refhooks_conditioning"
        )


def _weight(weight: Any, layout: Layout, blocks: int, contract: Contract, label: str) -> None:
    _number(weight, "weight", contract, label)
    shape = tuple(weight.shape)
    if shape not in ((), (blocks,), (1, layout.length), (blocks, layout.length)):
        raise HookReturnError(
            f"{label}: weight must be 0-d, [{blocks}] for each block, or"
            f" [1 or {blocks},{layout.length}] for each query, got {list(shape)}"
        )
    contract.below.append((label, (weight < 0).any()))
    if weight.device.type == "cpu":  # an accelerator is asked at the end: it would be waited for
        check_below(contract)


def check_below(contract: Contract) -> None:
    """Refuse, with the name of the plugin, a weight below 0: its log is NaN."""
    first = next((label for label, below in contract.below if below), None)
    contract.below.clear()
    if first is not None:
        raise HookReturnError(f"{first}: weight must be 0 (no attention) or above, got one below 0")


def _scale(scale: Any, name: str, blocks: int, contract: Contract, label: str) -> None:
    _number(scale, name, contract, label)
    size = contract.head_size
    if tuple(scale.shape) not in ((), (1,), (size,), (blocks, 1), (blocks, size)):
        raise HookReturnError(
            f"{label}: {name} must be 0-d, [{size}], [{blocks},1] or [{blocks},{size}],"
            f" got {list(scale.shape)}"
        )


def _length(edit: AttentionEdit, layout: Layout) -> int | None:
    """The number of tokens the group has, ``None`` where only loaded keys give it."""
    if edit.group == BASE:
        target = layout.target.stop - layout.target.start
        left_out = 0 if layout.keep is None else target - layout.keep.shape[0]
        return int(layout.target.stop - layout.text.start - left_out)
    own = layout.slots[int(edit.group)]
    return None if own is None else int(own.stop - own.start)


def _buffers(buffers: Any, length: int | None, blocks: int, contract: Contract, label: str) -> None:
    if not isinstance(buffers, KeyValues):
        raise HookReturnError(f"{label} must be refhooks.KeyValues, got {kind(buffers)}")
    for name, value in (("keys", buffers.keys), ("values", buffers.values)):
        buffer = tensor(value, name, label)
        count = buffer.shape[2] if length is None and buffer.ndim == 5 else length
        expected = (blocks, contract.batch, count, contract.heads, contract.head_size)
        actual = (tuple(buffer.shape), buffer.dtype, buffer.device)
        if actual != (expected, contract.dtype, contract.device):
            raise HookReturnError(
                f"{label}.{name} must be [blocks,B,R,H,D] = {list(expected)}, {contract.dtype} on"
                f" {contract.device}, got {list(buffer.shape)}, {buffer.dtype} on {buffer.device}"
            )
    if buffers.drift is not None:
        _drift(buffers, blocks, contract, label)


def _drift(buffers: KeyValues, blocks: int, contract: Contract, label: str) -> None:
    drift = tensor(buffers.drift, "drift", label)
    expected = (blocks, contract.batch, 2)
    actual = (tuple(drift.shape), drift.dtype, drift.device)
    if actual != (expected, torch.float32, contract.device):
        raise HookReturnError(
            f"{label}.drift must be [blocks,B,2] = {list(expected)}, torch.float32 on"
            f" {contract.device}, got {list(drift.shape)}, {drift.dtype} on {drift.device}"
        )


def _number(value: Any, name: str, contract: Contract, label: str) -> None:
    factor = tensor(value, name, label)
    if not factor.is_floating_point():
        raise HookReturnError(f"{label}: {name} must be floating point, got {factor.dtype}")
    if factor.device != contract.device:
        raise HookReturnError(f"{label}: {name} must be on {contract.device}, got {factor.device}")


def _values(edit: AttentionEdit, label: str) -> None:
    if edit.weight is not None:
        finite(edit.weight, "weight", label)
    if edit.key_scale is not None:
        finite(edit.key_scale, "key_scale", label)
    if edit.value_scale is not None:
        finite(edit.value_scale, "value_scale", label)
    if edit.load is not None:
        finite(edit.load.keys, "load.keys", label)
        finite(edit.load.values, "load.values", label)
