"""Checks of what hook implementations return; each names the plugin, the hook and the step."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import attrs
import torch

from refhooks._base.names import did_you_mean, listed
from refhooks._base.numbers import is_list
from refhooks._base.shown import one_of, shown
from refhooks._core.contract.values import Branch, Inputs, Text, Tokens
from refhooks._core.planning.bounds import MAX_STRENGTH
from refhooks.errors import HookReturnError, NotFiniteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from refhooks._core.contract.values import Adapter


@attrs.frozen
class Contract:
    """What a run's values must fit.

    Attributes:
        transformer: The denoiser.
        tokens: Tokens of each reference's whole picture, ``None`` for one that gives none.
        variants: What the family knows beside ``native``, by the field that asks for it.
        width: Of the transformer, for ``Inputs.added``.
        batch: ``B``.
        heads: ``H``.
        head_size: ``D``.
        dtype: Of the run.
        device: Of the run.
        layer: Returns a linear layer of the transformer by its name.
        takes_added: Whether the family minds ``Inputs.added``.
        takes_adapters: Whether it minds ``Inputs.adapters``.
        takes_keep: Whether it computes a part of the target, and there is a source for the rest.
        takes_fresh: Whether it computes a part of a reference's tokens.
        adapters_seen: Those that were found to be good.
        below: Who gave a weight of attention, and whether it is below 0, where that is not known.
    """

    transformer: torch.nn.Module
    tokens: tuple[int | None, ...]
    variants: Mapping[str, tuple[str, ...]]
    width: int
    batch: int
    heads: int
    head_size: int
    dtype: torch.dtype
    device: torch.device
    layer: Callable[[str], torch.nn.Module]
    takes_added: bool
    takes_adapters: bool
    takes_keep: bool
    takes_fresh: bool
    adapters_seen: WeakSet[Adapter] = attrs.field(factory=WeakSet)
    below: list[tuple[str, Tensor]] = attrs.field(factory=list)


def like(new: Any, old: Tensor, name: str, label: str, *, eager: bool) -> Tensor:
    """Check that a tensor replaces another one.

    Raises:
        HookReturnError: Not a tensor, or another shape, dtype or device.
        NotFiniteError: ``eager`` and the tensor holds NaN or infinity.
    """
    replacement = tensor(new, name, label)
    if replacement.shape != old.shape:
        raise HookReturnError(
            f"{label}: {name} must keep the shape {list(old.shape)}, got {list(replacement.shape)}"
        )
    same_kind(replacement, old, name, label)
    if eager:
        finite(replacement, name, label)
    return replacement.to(old.dtype)


def branches(new: Any, own: Sequence[Branch], label: str) -> tuple[Branch, ...]:
    """Check a list of branches: the family's own are still there, and names are unique.

    Raises:
        HookReturnError: It is not so.
    """
    if not isinstance(new, list | tuple) or not all(isinstance(entry, Branch) for entry in new):
        raise HookReturnError(
            f"{label}: must return a sequence of refhooks.Branch, got {shown(new)}"
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


def strengths(
    new: Any, old: Sequence[float], planned: Sequence[float], own: int | None, label: str
) -> tuple[float, ...]:
    """Check the strengths of the next step, one a reference; ``own``: whose alone may change.

    Raises:
        HookReturnError: It is another number of them, one is out of range, or one is changed that
            is 0 in the plan or another reference's.
    """
    if not is_list(new) or len(new) != len(old):
        raise HookReturnError(
            f"{label}: must return one strength for each of the {len(old)} references, or None, got"
            f" {shown(new)}"
        )
    for place, (value, before) in enumerate(zip(new, old, strict=True)):
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not real or not 0.0 <= value <= MAX_STRENGTH or (value == 0.0 and planned[place] > 0.0):
            raise HookReturnError(
                f"{label}: the strength of reference {place + 1} must be a number above 0, at most"
                f" {MAX_STRENGTH:g}, got {shown(value)}"
            )
        if value != before and (planned[place] == 0.0 or own not in {None, place}):
            why = "is 0 in the plan" if planned[place] == 0.0 else "is not the method's own"
            raise HookReturnError(
                f"{label}: the strength of reference {place + 1} {why}, so it must stay {before:g},"
                f" got {shown(value)}"
            )
    return tuple(float(value) for value in new)


def inputs(new: Any, old: Inputs, contract: Contract, label: str, *, eager: bool) -> Inputs:
    """Check new inputs of the transformer against the ones they replace.

    Raises:
        HookReturnError: Another type, number of slots, shape, dtype or device.
        NotFiniteError: ``eager`` and a tensor holds NaN or infinity.
    """
    if not isinstance(new, Inputs):
        raise HookReturnError(f"{label}: must return refhooks.Inputs or None, got {kind(new)}")
    like(new.target, old.target, "target", label, eager=eager)
    if not isinstance(new.slots, tuple) or len(new.slots) != len(old.slots):
        raise HookReturnError(f"{label}: the number of slots must stay {len(old.slots)}")
    for number, (tokens, before) in enumerate(zip(new.slots, old.slots, strict=True)):
        if tokens is not before and tokens is not None:
            _tokens(tokens, old.target, contract, number, label, eager=eager)
    if new.text is not old.text:
        _text(new.text, old, label, eager=eager)
    _known(new.center, "center", contract, label)
    _known(new.text_start, "text_start", contract, label)
    if new.added is not None and new.added is not old.added:
        _taken(contract.takes_added, "added", label)
        _added(new.added, old.target, contract.width, label, eager=eager)
    if new.keep is not None and new.keep is not old.keep:
        _taken(contract.takes_keep, "keep", label)
        _keep(new.keep, old.target, old.target.shape[1], "keep", label, eager=eager)
    if new.adapters:
        _taken(contract.takes_adapters, "adapters", label)
    return new


def _taken(takes: bool, name: str, label: str) -> None:
    if not takes:
        cannot = "a step cache, or a forward that is compiled as a whole" if name == "keep" else ""
        raise HookReturnError(
            f"{label}: the model's family cannot use {name}"
            f"{cannot and f', or not with {cannot}'}; leave it as it is"
        )


def _known(value: Any, name: str, contract: Contract, label: str) -> None:
    known = tuple(dict.fromkeys(("native", *contract.variants.get(name.rpartition(".")[2], ()))))
    if not one_of(value, known):
        raise HookReturnError(
            f"{label}: {name} must be one of {listed(known)}; got"
            f" {shown(value)}.{did_you_mean(str(value), known)}"
        )


def _tokens(
    tokens: Any, target: Tensor, contract: Contract, slot: int, label: str, *, eager: bool
) -> None:
    name, count = f"slot {slot}", contract.tokens[slot]
    if not isinstance(tokens, Tokens):
        raise HookReturnError(f"{label}: {name} must hold refhooks.Tokens, got {kind(tokens)}")
    if count is None:
        raise HookReturnError(
            f"{label}: {name} must stay empty: its reference has strength 0 at every step, or only"
            " methods that say they give no tokens (gives_tokens)"
        )
    _known(tokens.positions, f"{name}.positions", contract, label)
    _known(tokens.modulate, f"{name}.modulate", contract, label)
    latents = tensor(tokens.latents, f"{name}.latents", label)
    batch, _, channels = target.shape
    if tuple(latents.shape) not in ((1, count, channels), (batch, count, channels)):
        raise HookReturnError(
            f"{label}: {name}.latents must be [1 or {batch},{count},{channels}], the whole picture"
            f" (keep names the tokens that are passed on), got {list(latents.shape)}"
        )
    same_kind(latents, target, f"{name}.latents", label)
    if tokens.keep is not None:
        _keep(tokens.keep, target, count, f"{name}.keep", label, eager=eager)
        count = tokens.keep.shape[0]
    if tokens.fresh is not None:
        _taken(contract.takes_fresh, f"{name}.fresh", label)
        _indices(tokens.fresh, target, count, f"{name}.fresh", label, eager=eager)
    if eager:
        finite(latents, f"{name}.latents", label)


def _keep(value: Any, target: Tensor, count: int, name: str, label: str, *, eager: bool) -> None:
    _indices(value, target, count, name, label, eager=eager)
    if value.shape[0] == 0:
        instead = "leave the slot empty instead" if name.startswith("slot") else "keep one at least"
        raise HookReturnError(f"{label}: {name} keeps no token; {instead}")


def _indices(value: Any, target: Tensor, count: int, name: str, label: str, *, eager: bool) -> None:
    """Values are looked at only when ``eager``: that makes the device wait."""
    keep = tensor(value, name, label)
    if keep.ndim != 1 or keep.dtype != torch.int64 or keep.device != target.device:
        raise HookReturnError(
            f"{label}: {name} must be int64 indices [K] on {target.device},"
            f" got {keep.dtype} {list(keep.shape)} on {keep.device}"
        )
    if eager and len(keep) and ((keep.diff() <= 0).any() or keep[0] < 0 or keep[-1] >= count):
        raise HookReturnError(f"{label}: {name} must rise within 0 to {count - 1}")


def _text(text: Any, old: Inputs, label: str, *, eager: bool) -> None:
    if not isinstance(text, Text):
        raise HookReturnError(f"{label}: text must be refhooks.Text, got {kind(text)}")
    before = old.text.embeds
    embeds = tensor(text.embeds, "text.embeds", label)
    if embeds.ndim != 3 or embeds.shape[0] != before.shape[0] or embeds.shape[2] != before.shape[2]:
        raise HookReturnError(
            f"{label}: text.embeds must be [{before.shape[0]},S,{before.shape[2]}],"
            f" got {list(embeds.shape)}"
        )
    if embeds.shape[1] == 0:
        raise HookReturnError(f"{label}: text.embeds must have at least one token")
    same_kind(embeds, before, "text.embeds", label)
    if text.mask is not None:
        mask = tensor(text.mask, "text.mask", label)
        if mask.shape != embeds.shape[:2]:
            raise HookReturnError(
                f"{label}: text.mask must be {list(embeds.shape[:2])}, got {list(mask.shape)}"
            )
        if mask.device != embeds.device:
            raise HookReturnError(f"{label}: text.mask must be on {embeds.device}")
    _text_rest(text, old.text, embeds, label)
    if eager:
        finite(embeds, "text.embeds", label)


def _text_rest(text: Text, old: Text, embeds: Tensor, label: str) -> None:
    """What a family needs beside the embeddings: it stays, or fits them."""
    for name, new, before in (("ids", text.ids, old.ids), ("pooled", text.pooled, old.pooled)):
        if (new is None) != (before is None):
            raise HookReturnError(f"{label}: text.{name} must stay as it is, a tensor or None")
        if new is not None and before is not None:
            same_kind(tensor(new, f"text.{name}", label), before, f"text.{name}", label)
    if text.ids is not None and text.ids.shape[-2] != embeds.shape[1]:
        raise HookReturnError(
            f"{label}: text.ids must be of {embeds.shape[1]} tokens, got {list(text.ids.shape)}"
        )
    places = text.places
    if len(places) != len(old.places) or not all(0 <= it <= embeds.shape[1] for it in places):
        raise HookReturnError(
            f"{label}: text.places must be {len(old.places)} numbers from 0 to {embeds.shape[1]},"
            f" got {shown(places)}"
        )


def _added(added: Any, target: Tensor, width: int, label: str, *, eager: bool) -> None:
    addition = tensor(added, "added", label)
    expected = (*target.shape[:2], width)
    if tuple(addition.shape) != expected:
        raise HookReturnError(
            f"{label}: added must be {list(expected)}, got {list(addition.shape)}"
        )
    same_kind(addition, target, "added", label)
    if eager:
        finite(addition, "added", label)


def tensor(value: Any, name: str, label: str) -> Tensor:
    """Check that a value is a tensor.

    Raises:
        HookReturnError: It is not.
    """
    if not isinstance(value, torch.Tensor):
        raise HookReturnError(f"{label}: {name} must be a tensor, got {kind(value)}")
    return value


def same_kind(new: Tensor, old: Tensor, name: str, label: str) -> None:
    """Check that a tensor has the dtype and device of another one.

    Under torch.autocast a plugin's own layers return another dtype, which does no harm there.

    Raises:
        HookReturnError: It has not.
    """
    alike = new.is_floating_point() and torch.is_autocast_enabled(old.device.type)
    if new.dtype != old.dtype and not alike:
        raise HookReturnError(f"{label}: {name} must keep the dtype {old.dtype}, got {new.dtype}")
    if new.device != old.device:
        raise HookReturnError(f"{label}: {name} must stay on {old.device}, got {new.device}")


def finite(value: Tensor, name: str, label: str) -> None:
    """Check that a tensor holds no NaN or infinity.

    Raises:
        NotFiniteError: It does.
    """
    if not torch.isfinite(value).all():
        raise NotFiniteError(f"{label}: {name} holds NaN or infinity")


def kind(value: Any) -> str:
    """Return how messages name a value's type."""
    return type(value).__name__
