"""What a user has put on a loaded model: LoRAs, the scheduler's settings, the attention backend."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import math
import weakref
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models import attention_dispatch

from refhooks._apps.recipes.parts import RecipeLora, is_name
from refhooks._loras.injecting import tuned
from refhooks._loras.places import uncompiled
from refhooks._loras.state import states_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from refhooks._core.contract.family import Family
    from refhooks._loras.records import LoraState

_hashes: weakref.WeakKeyDictionary[Any, dict[str, tuple[Any, Any, str]]] = (
    weakref.WeakKeyDictionary()
)
MAX_TEXT = 200  # of a setting


def loras_of(family: Family, pipe: Any) -> tuple[RecipeLora, ...]:
    """Return every LoRA on the transformer, in the order of their names.

    One that was fused and then unloaded has left its name at the pipeline only.
    """
    transformer: Any = uncompiled(family.transformer)
    states = {state.name: state for state in states_of(transformer)}
    labels = {id(module): label for label, module in transformer.named_modules()}
    layers = [(_plain_label(labels[id(layer)]), layer) for layer in tuned(transformer)]
    loaded = [_lora(transformer, layers, states[name]) for name in sorted(states)]
    gone = sorted(set(getattr(pipe, "_merged_adapters", None) or ()) - set(states))
    return (*loaded, *(RecipeLora(name[:MAX_TEXT], fused=True) for name in gone))


def scheduler_of(pipe: Any) -> dict[str, Any]:
    """Return the class of a pipeline's scheduler, and its settings that are not the class's own.

    ``set_shift`` leaves its value outside of the configuration; a checkpoint's fixed noise levels
    are the pipeline's.
    """
    scheduler = pipe.scheduler
    parameters = inspect.signature(type(scheduler).__init__).parameters
    settings: dict[str, Any] = {"class": type(scheduler).__name__}
    for key, value in sorted(scheduler.config.items()):
        if key in parameters and value != parameters[key].default:
            settings[key] = _plain(value)
    shift = getattr(scheduler, "shift", None)
    if shift is not None and shift != scheduler.config.get("shift"):
        settings["shift"] = _plain(shift)
    fixed = getattr(pipe.config, "sample_sigmas", None)
    return settings | ({"sample_sigmas": _plain(fixed)} if fixed else {})


def attention_of(transformer: Any) -> str:
    """Return the attention backends that blocks use, or the class of a foreign processor."""
    default = attention_dispatch._AttentionBackendRegistry.get_active_backend()[0]  # noqa: SLF001
    names = set()
    for module in transformer.modules():
        processor = getattr(module, "processor", None)
        if processor is None:
            continue
        if hasattr(processor, "_attention_backend"):
            backend = processor._attention_backend or default  # noqa: SLF001  no public name
            names.add(str(getattr(backend, "value", backend)))
        else:
            names.add(type(processor).__name__)
    return ", ".join(sorted(names))


def _plain_label(label: str) -> str:
    """The name of a layer, compiled or not."""
    return label.replace("_orig_mod.", "")


def _lora(transformer: Any, layers: list[tuple[str, Any]], state: LoraState) -> RecipeLora:
    name = state.name
    own = [(label, it) for label, it in layers if name in getattr(it, "scaling", ())]
    active = any(name in layer.active_adapters and not layer.disable_adapters for _, layer in own)
    return RecipeLora(
        name=name[:MAX_TEXT],
        file=state.file if is_name(state.file) else "",
        sha256=state.sha256,
        weights=_hash(transformer, own, name),
        scale=_scales([_scale(layer, name) for _, layer in own]),
        active=active,
        fused=any(name in layer.merged_adapters for _, layer in own),
    )


def _scale(layer: Any, name: str) -> float:
    """What the user set, without the file's own ``alpha / rank``; of LoKr and LoHa, with it.

    ``LoraState.scale`` is without it there as well, and recipes go on saying what they said.
    """
    scaling = float(layer.scaling[name])
    rank, alpha = getattr(layer, "r", {}).get(name), getattr(layer, "lora_alpha", {}).get(name)
    if not rank or not alpha:
        return scaling
    root = getattr(layer, "use_rslora", None)
    own = alpha / (math.sqrt(rank) if isinstance(root, dict) and root.get(name) else rank)
    return round(scaling / float(own), 9)


def _scales(scales: list[float]) -> Any:
    """One number, or each with how many layers in a row have it."""
    runs = [(scale, len(list(same))) for scale, same in itertools.groupby(scales)]
    return runs[0][0] if len(runs) == 1 else [list(run) for run in runs]


def _hash(transformer: Any, layers: list[tuple[str, Any]], name: str) -> str:
    """The hash of a LoRA's weights, computed once as long as they are the same tensors.

    They are read one by one, also where layers are offloaded; empty where nobody has them.
    """
    weights = [
        (f"{label}.{part}.{own}", weight)
        for label, layer in layers
        for part in layer.adapter_layer_names
        for own, weight in _weights(getattr(layer, part, None), name)
    ]
    if not weights or any(weight.is_meta for _, weight in weights):
        return ""
    seen, glance = [weakref.ref(weight) for _, weight in weights], _glance(weights)
    known = _hashes.setdefault(transformer, {})
    if name in known and known[name][1] == glance and _same(known[name][0], seen):
        return known[name][2]
    digest = hashlib.sha256()
    for label, weight in sorted(weights, key=lambda pair: pair[0]):
        digest.update(f"{label} {list(weight.shape)} {weight.dtype}\n".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    known[name] = (seen, glance, digest.hexdigest())
    return known[name][2]


def _same(one: list[Any], other: list[Any]) -> bool:
    """Whether references are to the same tensors, all of them still there."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _glance(weights: list[tuple[str, Any]]) -> list[float]:
    """The first values of each, in one transfer: another file may be swapped into the tensors."""
    place = weights[0][1].device
    few = [weight.detach().reshape(-1)[:4].float().to(place) for _, weight in weights]
    versions = [float(weight._version) for _, weight in weights]  # noqa: SLF001
    return [*torch.cat(few).tolist(), *versions]


def _weights(container: Any, name: str) -> Iterator[tuple[str, Any]]:
    if container is None or name not in container:
        return
    inner = container[name]
    if isinstance(inner, torch.Tensor):
        yield "", inner
    else:
        for own, weight in inner.named_parameters():
            yield own, _offloaded(inner, own) if weight.is_meta else weight


def _offloaded(module: Any, name: str) -> Any:
    """A weight that accelerate keeps elsewhere; the empty one where it does not."""
    place, _, key = name.rpartition(".")
    owner = module.get_submodule(place)
    hook = getattr(owner, "_hf_hook", None)
    kept = (getattr(it, "weights_map", None) for it in getattr(hook, "hooks", (hook,)))
    return next(
        (weights[key] for weights in kept if weights and key in weights), getattr(owner, key)
    )


def _plain(value: Any) -> Any:
    """A setting as JSON holds it."""
    if isinstance(value, bool | int | str) or value is None:
        return value[:MAX_TEXT] if isinstance(value, str) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value[:MAX_TEXT]]
    return f"{value!r:.200}"


def scheduler_changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Return each setting of the scheduler that is another one."""
    return tuple(
        f"scheduler, {name:.80}: it was {was.get(name, 'the default')!s:.200}, and is"
        f" {now.get(name, 'the default')!s:.200}"
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name) or (name in was) != (name in now)
    )


def lora_changes(was: tuple[RecipeLora, ...], now: tuple[RecipeLora, ...]) -> tuple[str, ...]:
    """Return what is another with the LoRAs that act; those that do not leave no trace."""
    lines, left = [], [lora for lora in now if lora.acts]
    for lora in (lora for lora in was if lora.acts):
        other = next((it for it in left if it.weights and it.weights == lora.weights), None)
        other = other or next((it for it in left if it.name == lora.name), None)
        if other is None:
            lines.append(f"LoRA {lora.name:.80}: it took part{lora.told}, and does not now")
        else:
            left.remove(other)
            lines += [f"LoRA {lora.name:.80}: {line}" for line in lora.changes(other)]
    return (*lines, *[f"LoRA {it.name:.80}: it took no part, and does now" for it in left])
