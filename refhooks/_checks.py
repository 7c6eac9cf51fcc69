"""Checks of what hook implementations return; each names the plugin, the hook and the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._names import listed
from refhooks._values import BASE, AttentionEdit, Branch, Context, Inputs, Layout, Text, Tokens
from refhooks.errors import HookReturnError, NotFiniteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@attrs.frozen
class Contract:
    """What a run's values must fit.

    Attributes:
        tokens: Tokens of each reference's whole picture, ``None`` for one that never acts.
        width: Of the transformer, for ``Inputs.added``.
    """

    tokens: tuple[int | None, ...]
    width: int


def where(plugin: str, hook: str, ctx: Context) -> str:
    """Return how messages name a call of a hook."""
    return f"{plugin}, {hook}, step {ctx.step.index + 1} of {ctx.step.total}"


def like(new: Any, old: Tensor, name: str, label: str, *, eager: bool) -> Tensor:
    """Check that a tensor replaces another one.

    Raises:
        HookReturnError: Not a tensor, or another shape, dtype or device.
        NotFiniteError: ``eager`` and the tensor holds NaN or infinity.
    """
    tensor = _tensor(new, name, label)
    if tensor is old:
        return tensor
    if tensor.shape != old.shape:
        raise HookReturnError(
            f"{label}: {name} must keep the shape {list(old.shape)}, got {list(tensor.shape)}"
        )
    _same_kind(tensor, old, name, label)
    if eager:
        _finite(tensor, name, label)
    return tensor


def branches(new: Any, own: Sequence[Branch], label: str) -> tuple[Branch, ...]:
    """Check a list of branches: the family's own are still there, and names are unique.

    Raises:
        HookReturnError: It is not so.
    """
    if not isinstance(new, list | tuple) or not all(isinstance(entry, Branch) for entry in new):
        raise HookReturnError(
            f"{label}: must return a sequence of refhooks.Branch, got {new!r:.80}"
        )
    names = [entry.name for entry in new]
    if len(set(names)) != len(names):
        raise HookReturnError(f"{label}: branch names must be unique, got {listed(names)}")
    texts = {entry.text for entry in own}
    unknown = [entry for entry in new if entry.text not in texts]
    if unknown:
        raise HookReturnError(
            f"{label}: branch {unknown[0].name!r} reads the text {unknown[0].text!r}; this run has"
            f" {listed(sorted(texts))}"
        )
    missing = [entry.name for entry in own if entry not in new]
    if missing:
        raise HookReturnError(
            f"{label}: the family's branch {listed(missing)} must stay in the list"
        )
    return tuple(new)


def inputs(new: Any, old: Inputs, contract: Contract, label: str, *, eager: bool) -> Inputs:
    """Check new inputs of the transformer against the ones they replace.

    Raises:
        HookReturnError: Another type, number of slots, shape, dtype or device.
        NotFiniteError: ``eager`` and a tensor holds NaN or infinity.
    """
    if not isinstance(new, Inputs):
        raise HookReturnError(f"{label}: must return refhooks.Inputs or None, got {_kind(new)}")
    like(new.target, old.target, "target", label, eager=eager)
    if not isinstance(new.slots, tuple) or len(new.slots) != len(old.slots):
        raise HookReturnError(f"{label}: the number of slots must stay {len(old.slots)}")
    for number, (tokens, before) in enumerate(zip(new.slots, old.slots, strict=True)):
        if tokens is not before and tokens is not None:
            name = f"slot {number}"
            _tokens(tokens, old.target, contract.tokens[number], name, label, eager=eager)
    if new.text is not old.text:
        _text(new.text, old, label, eager=eager)
    if new.added is not None and new.added is not old.added:
        _added(new.added, old.target, contract.width, label, eager=eager)
    return new


def attention(
    new: Any, layout: Layout, ctx: Context, label: str, *, eager: bool
) -> Sequence[AttentionEdit]:
    """Check the edits that an implementation returned.

    Raises:
        HookReturnError: Not a list of edits, a group that is not there, or a tensor of another
            shape or dtype.
        NotFiniteError: ``eager`` and a weight or scale holds NaN or infinity.
    """
    if not isinstance(new, list | tuple) or not all(isinstance(e, AttentionEdit) for e in new):
        raise HookReturnError(
            f"{label}: must return a list of refhooks.AttentionEdit, got {new!r:.80}"
        )
    for edit in new:
        _group(edit, layout, label)
        if edit.weight is not None:
            _weight(edit.weight, layout, ctx.blocks, label)
        if edit.key_scale is not None:
            _key_scale(edit.key_scale, ctx.blocks, label)
        for tensor in (edit.weight, edit.key_scale):
            if eager and tensor is not None:
                _finite(tensor, "an attention edit", label)
    return new


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


def _weight(weight: Any, layout: Layout, blocks: int, label: str) -> None:
    _floating(weight, "weight", label)
    shape = tuple(weight.shape)
    if shape not in ((), (blocks,), (1, layout.length), (blocks, layout.length)):
        raise HookReturnError(
            f"{label}: weight must be 0-d, [{blocks}] for each block, or"
            f" [1 or {blocks},{layout.length}] for each query, got {list(shape)}"
        )


def _key_scale(scale: Any, blocks: int, label: str) -> None:
    _floating(scale, "key_scale", label)
    if scale.ndim > 2 or (scale.ndim == 2 and scale.shape[0] != blocks):
        raise HookReturnError(
            f"{label}: key_scale must be 0-d, [D], [{blocks},1] or [{blocks},D],"
            f" got {list(scale.shape)}"
        )


def _floating(value: Any, name: str, label: str) -> None:
    if not _tensor(value, name, label).is_floating_point():
        raise HookReturnError(f"{label}: {name} must be floating point, got {value.dtype}")


def _tokens(
    tokens: Any, target: Tensor, count: int | None, name: str, label: str, *, eager: bool
) -> None:
    if not isinstance(tokens, Tokens):
        raise HookReturnError(f"{label}: {name} must hold refhooks.Tokens, got {_kind(tokens)}")
    if count is None:
        raise HookReturnError(
            f"{label}: {name} must stay empty: its reference has strength 0 at every step"
        )
    latents = _tensor(tokens.latents, f"{name}.latents", label)
    batch, _, channels = target.shape
    if tuple(latents.shape) not in ((1, count, channels), (batch, count, channels)):
        raise HookReturnError(
            f"{label}: {name}.latents must be [1 or {batch},{count},{channels}], the whole picture"
            f" (keep names the tokens that are passed on), got {list(latents.shape)}"
        )
    _same_kind(latents, target, f"{name}.latents", label)
    if tokens.keep is not None:
        _keep(tokens.keep, target, f"{name}.keep", label)
    if eager:
        _finite(latents, f"{name}.latents", label)


def _keep(value: Any, target: Tensor, name: str, label: str) -> None:
    keep = _tensor(value, name, label)
    if keep.ndim != 1 or keep.dtype != torch.int64 or keep.device != target.device:
        raise HookReturnError(
            f"{label}: {name} must be int64 indices [K] on {target.device},"
            f" got {keep.dtype} {list(keep.shape)} on {keep.device}"
        )


def _text(text: Any, old: Inputs, label: str, *, eager: bool) -> None:
    if not isinstance(text, Text):
        raise HookReturnError(f"{label}: text must be refhooks.Text, got {_kind(text)}")
    before = old.text.embeds
    embeds = _tensor(text.embeds, "text.embeds", label)
    if embeds.ndim != 3 or embeds.shape[0] != before.shape[0] or embeds.shape[2] != before.shape[2]:
        raise HookReturnError(
            f"{label}: text.embeds must be [{before.shape[0]},S,{before.shape[2]}],"
            f" got {list(embeds.shape)}"
        )
    _same_kind(embeds, before, "text.embeds", label)
    if text.mask is not None:
        mask = _tensor(text.mask, "text.mask", label)
        if mask.shape != embeds.shape[:2]:
            raise HookReturnError(
                f"{label}: text.mask must be {list(embeds.shape[:2])}, got {list(mask.shape)}"
            )
    if eager:
        _finite(embeds, "text.embeds", label)


def _added(added: Any, target: Tensor, width: int, label: str, *, eager: bool) -> None:
    tensor = _tensor(added, "added", label)
    expected = (*target.shape[:2], width)
    if tuple(tensor.shape) != expected:
        raise HookReturnError(f"{label}: added must be {list(expected)}, got {list(tensor.shape)}")
    _same_kind(tensor, target, "added", label)
    if eager:
        _finite(tensor, "added", label)


def _tensor(value: Any, name: str, label: str) -> Tensor:
    if not isinstance(value, torch.Tensor):
        raise HookReturnError(f"{label}: {name} must be a tensor, got {_kind(value)}")
    return value


def _same_kind(new: Tensor, old: Tensor, name: str, label: str) -> None:
    if new.dtype != old.dtype:
        raise HookReturnError(f"{label}: {name} must keep the dtype {old.dtype}, got {new.dtype}")
    if new.device != old.device:
        raise HookReturnError(f"{label}: {name} must stay on {old.device}, got {new.device}")


def _finite(tensor: Tensor, name: str, label: str) -> None:
    if not torch.isfinite(tensor).all():
        raise NotFiniteError(f"{label}: {name} holds NaN or infinity")


def _kind(value: Any) -> str:
    return type(value).__name__
