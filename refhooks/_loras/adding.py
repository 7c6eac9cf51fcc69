"""A LoRA file on a model, from the file to the layers."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import torch

from refhooks._base.advice import warn_user
from refhooks._base.shown import shown
from refhooks._loras.alphas import scales_of
from refhooks._loras.injecting import check_base, check_peft, inject, take_off, tuned
from refhooks._loras.keys import Keys, some, sort_keys
from refhooks._loras.layers import fit_layers
from refhooks._loras.offloading import weights_in_place
from refhooks._loras.records import FileRecord, LoraState
from refhooks._loras.state import forget, glance, remember, states_of
from refhooks._loras.tensors import read_tensors
from refhooks.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from refhooks._loras.header import Header
    from refhooks._loras.layers import Fit

__all__ = ["add_file", "remove_adapter"]

_LONGEST_NAME = 60


@torch.no_grad()
def add_file(
    pipe: Any,
    model: torch.nn.Module,
    header: Header,
    scale: float = 1.0,
    name: str | None = None,
    keys: Keys | None = None,
) -> str:
    """Add a file whose header was read, as ``TakesLoras.add_lora`` says.

    Args:
        pipe: The pipeline.
        model: Its transformer, out of ``torch.compile``.
        header: Of the file.
        scale: As there.
        name: As there.
        keys: Of the header, sorted, where that was done.
    """
    label = header.label
    states = states_of(model, files=False)
    _check_scale(scale, label)
    name = _checked_name(name, label, model) if name is not None else _free_name(header, model)
    check_peft(label)
    _check_unfused(states, f"{label} cannot be added")
    keys = keys or sort_keys(header)
    fit = fit_layers(header, keys, model)
    if fit.kind == "DoRA":
        _check_dora(label, scale, states)
    check_base(label, fit.kind, model, [change.layer for change in fit.changes])
    weights, alphas = read_tensors(header, fit)
    scales = scales_of(header, fit.changes, alphas)
    with weights_in_place(pipe, model):
        config = inject(model, name, fit.kind, weights, scales)
        _activate(model, name, fit.kind, scale, states)
        seen = glance(model, name, fit)
        kept = FileRecord(header.path, header.stamp, fit.kind, config, seen, header.notes)
    remember(model, name, kept)
    _warn_of_ignored(header, keys, fit, type(model).__name__)
    return name


def remove_adapter(pipe: Any, model: torch.nn.Module, name: str) -> None:
    """Take an adapter off a model, as ``TakesLoras.remove_lora`` says."""
    states = {state.name: state for state in states_of(model, files=False)}
    if not isinstance(name, str) or name not in states:
        raise InputError(
            f"there is no LoRA {shown(name)} on the model; there is: {some(states) or 'none'}"
        )
    _check_unfused(states.values(), f"LoRA {name!r} cannot be removed")
    with weights_in_place(pipe, model):
        take_off(model, name)
    forget(model, name)


def _check_scale(scale: Any, label: str) -> None:
    number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if not number or not abs(scale) <= sys.float_info.max:  # of 10**400 there is no float
        raise InputError(f"{label}: scale must be a finite number, got {shown(scale)}")


def _check_dora(label: str, scale: float, states: Iterable[LoraState]) -> None:
    """A magnitude is that of a whole weight, so it goes with nothing that came before it.

    Peft adds a LoRA behind it, but scales what an inner layer of LoKr or another DoRA makes.
    """
    if scale != 1.0:
        raise InputError(
            f"{label}: a DoRA acts at scale 1, since its magnitude is that of the whole weight; got"
            f" {scale:g}"
        )
    others = [state.name for state in states if state.kind != "LoRA"]
    if others:
        raise ModelError(
            f"{label}: a DoRA is added before LoKr, LoHa and any other DoRA, or it would scale what"
            f" they do; there is {some(others)}"
        )


def _checked_name(name: Any, label: str, model: torch.nn.Module) -> str:
    if not isinstance(name, str) or name != _as_name(name):
        raise InputError(
            f"{label}: name must be letters, digits, - and _, at most {_LONGEST_NAME} of them, and"
            f" no word of torch's own; got {shown(name)}"
        )
    if name in _taken(model):
        raise InputError(f"{label}: the model has a LoRA {name!r}; give another name")
    return name


def _free_name(header: Header, model: torch.nn.Module) -> str:
    """A name from the file's, with a number where it is taken."""
    stem, number = _as_name(header.path.stem), 1
    name = stem
    while name in _taken(model):
        number += 1
        name = f"{stem}-{number}"
    return name


def _as_name(text: str) -> str:
    """What peft takes as a name: no dots, and no attribute of the modules that keep it."""
    name = re.sub(r"[^\w-]+", "-", text)[:_LONGEST_NAME].strip("-") or "lora"
    for kind in (torch.nn.ModuleDict, torch.nn.ParameterDict):
        if hasattr(kind(), name):
            return f"lora-{name}"
    return name


def _taken(model: Any) -> Iterable[str]:
    return getattr(model, "peft_config", None) or ()


def _check_unfused(states: Iterable[LoraState], label: str) -> None:
    fused = [state.name for state in states if state.fused]
    if fused:
        raise ModelError(
            f"{label}: {some(fused)} is fused into the weights, which peft would undo; call"
            " pipe.unfuse_lora() before"
        )


def _activate(model: Any, name: str, kind: str, scale: float, states: Iterable[LoraState]) -> None:
    """Let the new one act beside those that did; peft leaves the last one alone active."""
    kinds = {name: kind, **{state.name: state.kind for state in states}}
    active = [*(state.name for state in states if state.active), name]
    # Peft goes through them in order, and a DoRA would scale what those before it have added.
    active.sort(key=lambda each: kinds.get(each) != "DoRA")
    for layer in tuned(model):
        if layer.disable_adapters:
            layer.enable_adapters(enabled=True)
        if list(layer.active_adapters) != active:
            layer.set_adapter(active)
        if name in layer.scaling:
            layer.scaling[name] = layer.scaling[name] * scale
    off = [state.name for state in states if not state.active]
    if off and len(active) == 1:
        warn_user(f"{some(off)} did not act before LoRA {name!r} was added, and still does not")


def _warn_of_ignored(header: Header, keys: Keys, fit: Fit, model: str) -> None:
    told = []
    if fit.homeless:
        told.append(
            f"{len(fit.homeless)} of its {len(keys.layers)} layers have no place in {model}:"
            f" {some(fit.homeless)}"
        )
    if keys.text:
        told.append(f"{len(keys.text)} tensors are for a text encoder: {some(keys.text)}")
    if keys.others:
        told.append(f"{len(keys.others)} tensors are no LoRA's: {some(keys.others)}")
    if told:
        warn_user(f"{header.label} is applied without these: {'; '.join(told)}")
