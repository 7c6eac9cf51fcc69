"""What LoRAs a model has now, read from its layers: diffusers changes scales behind one's back."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from refhooks._base.files import file_hash
from refhooks._loras.header import stamp_of
from refhooks._loras.injecting import tuned
from refhooks._loras.records import FileRecord, LoraState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import nn

    from refhooks._loras.layers import Fit

_RECORDS = "_refhooks_loras"
_GLANCES = 3  # layers whose first values tell one file's weights from another's
_VALUES = 4
_ROUNDED = 0.1  # of a value: what casting to eight bits may move it by


def remember(model: nn.Module, name: str, record: FileRecord) -> None:
    """Keep which file an adapter came from, on the model itself, so that copies know it too."""
    vars(model)[_RECORDS] = {**vars(model).get(_RECORDS, {}), name: record}


def forget(model: nn.Module, name: str) -> None:
    """Drop what is known of an adapter's file."""
    kept = {key: kept for key, kept in vars(model).get(_RECORDS, {}).items() if key != name}
    vars(model).pop(_RECORDS, None)
    if kept:
        vars(model)[_RECORDS] = kept


def states_of(model: nn.Module, *, files: bool = True) -> tuple[LoraState, ...]:
    """Return the adapters of a model in the order in which they came, as they are now.

    Args:
        model: The transformer.
        files: Whether their files are asked for, which reads each of them once.
    """
    found: dict[str, list[Any]] = {name: [] for name in getattr(model, "peft_config", None) or {}}
    for layer in tuned(model):
        for name in layer.scaling if hasattr(layer, "scaling") else ():
            found.setdefault(name, []).append(layer)
    return tuple(
        _state(name, layers, _record(model, name) if files else None)
        for name, layers in found.items()
        if layers
    )


def notes_of(model: nn.Module) -> dict[str, tuple[str, Mapping[str, str]]]:
    """Return, for each adapter whose file is known, the file's name and its metadata."""
    records = {name: _record(model, name) for name in vars(model).get(_RECORDS, {})}
    return {name: (kept.path.name, kept.notes) for name, kept in records.items() if kept}


def glance(model: nn.Module, name: str, fit: Fit) -> dict[str, tuple[float, ...]]:
    """Return a few values of an adapter's weights, by layer."""
    layers = [change.layer for change in fit.changes]
    chosen = {layers[0], layers[len(layers) // 2], layers[-1]}
    firsts = {layer: _first(model.get_submodule(layer), name) for layer in chosen}
    return {layer: values for layer, values in firsts.items() if values is not None}


def _state(name: str, layers: list[Any], record: FileRecord | None) -> LoraState:
    scales = [_scale(layer, name) for layer in layers]
    first = max(range(len(scales)), key=lambda number: abs(scales[number]))
    scale = scales[first]
    fused = any(name in layer.merged_adapters for layer in layers)
    acting = any(name in layer.active_adapters and not layer.disable_adapters for layer in layers)
    return LoraState(
        name=name,
        file="" if record is None else record.path.name,
        sha256="" if record is None else _hash(record.path, record.stamp),
        kind=_kind(layers[0], name),
        scale=scale,
        factor=float(layers[first].scaling[name]),
        uniform=all(abs(each - scale) <= 1e-6 * abs(scale) for each in scales),
        active=fused or acting,
        fused=fused,
        layers=len(layers),
    )


def _scale(layer: Any, name: str) -> float:
    """What is left of the scaling without alpha over rank."""
    alphas = layer.lora_alpha if hasattr(layer, "lora_alpha") else layer.alpha
    rank = layer.r[name] ** 0.5 if getattr(layer, "use_rslora", {}).get(name) else layer.r[name]
    own = alphas[name] / rank
    return float(layer.scaling[name]) / own if own else 0.0


def _kind(layer: Any, name: str) -> str:
    for attribute, kind in (("lokr_w1", "LoKr"), ("hada_w1_a", "LoHa")):
        if hasattr(layer, attribute):
            return kind
    return "DoRA" if getattr(layer, "use_dora", {}).get(name) else "LoRA"


def _record(model: nn.Module, name: str) -> FileRecord | None:
    """What is known of the file, if the adapter is still what came from it."""
    record: FileRecord | None = vars(model).get(_RECORDS, {}).get(name)
    configs = getattr(model, "peft_config", {})
    if record is None or configs.get(name) is not record.config:
        return None
    for layer, values in record.glance.items():
        now = _first(model.get_submodule(layer), name)
        if now is not None and not _near(now, values):
            return None
    return record


def _near(now: tuple[float, ...], values: tuple[float, ...]) -> bool:
    return len(now) == len(values) and all(
        abs(one - other) <= _ROUNDED * abs(other) + 1e-6
        for one, other in zip(now, values, strict=True)
    )


def _first(module: Any, name: str) -> tuple[float, ...] | None:
    """The first values of each factor of an adapter on a layer; ``None``: they are elsewhere."""
    values: list[float] = []
    for layer in _wrappers(module):
        for part in layer.adapter_layer_names:
            factors = getattr(layer, part)
            if name in factors:
                factor = getattr(factors[name], "weight", factors[name]).detach()
                if factor.is_meta:
                    return None
                values += factor.flatten()[:_VALUES].float().tolist()
    return tuple(values)


def _wrappers(module: Any) -> Iterator[Any]:
    """What peft has wrapped a layer with, from outside to inside."""
    while hasattr(module, "base_layer"):
        yield module
        module = module.base_layer


@functools.lru_cache(maxsize=64)
def _hash(path: Path, stamp: tuple[int, int]) -> str:
    """The file's hash, read when it is first asked for; empty if it is not the file any more."""
    try:
        if stamp_of(path) != stamp:
            return ""
        digest = file_hash(path)
        return digest if stamp_of(path) == stamp else ""
    except OSError:
        return ""
