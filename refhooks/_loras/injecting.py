"""Putting changes on a model through peft, and taking them off again."""

from __future__ import annotations

import importlib.util
import sys
import threading
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._base.advice import libraries_silenced
from refhooks._loras.places import base_of
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

INSTALL = 'needs the package peft; install it with: pip install "refhooks[lora]"'
_KEYS = {
    "LoRA": "lora_A.weight",
    "DoRA": "lora_A.weight",
    "LoKr": "lokr_w1",
    "LoHa": "hada_w1_a",
}
_LOADED = "_hf_peft_config_loaded"  # what diffusers asks of a model before it asks peft
_HOTSWAP = "_prepare_lora_hotswap_kwargs"
_one_at_a_time = threading.Lock()
"""Peft changes how torch makes parameters while it lays out empty ones, for the whole process."""
_HALF = 2  # bytes of the smallest floats that a LoRA is kept in


def check_peft(label: str) -> None:
    """Refuse to go on without peft.

    Raises:
        ModelError: It is not installed.
    """
    if importlib.util.find_spec("peft") is None:
        raise ModelError(f"{label} {INSTALL}")


def tuned(model: nn.Module) -> Iterator[Any]:
    """Go through the layers that peft has wrapped."""
    if "peft" in sys.modules:
        # A lookup in each module's own table: peft's classes are abstract, and asking for them
        # takes a fifth of the time of adding a LoRA.
        yield from (
            part
            for part in model.modules()
            if "base_layer" in vars(part)["_modules"] and hasattr(part, "active_adapters")
        )


def inject(
    model: nn.Module,
    name: str,
    kind: str,
    weights: Mapping[str, Mapping[str, Tensor]],
    scales: Mapping[str, float],
) -> Any:
    """Wrap the layers of a model, give them weights, and return peft's configuration.

    Should anything fail, the model is put back as it was.

    Args:
        model: The transformer.
        name: Of the adapter.
        kind: ``LoRA``, ``DoRA``, ``LoKr`` or ``LoHa``.
        weights: By layer, as :func:`refhooks._loras.tensors.read_tensors` returns them.
        scales: Alpha over rank, by layer.
    """
    before = _Before.of(model)
    config = _config(kind, weights)
    try:
        _wrap(model, config, name, [f"{layer}.{_KEYS[kind]}" for layer in weights])
        config.target_modules = set(weights)
        for layer, tensors in weights.items():
            _fill(model.get_submodule(layer), name, kind, tensors, scales[layer])
        _describe(config, kind, weights, scales)
        _prepare_hotswap(model, config, kind)
    except BaseException:
        take_off(model, name)
        before.restore_acting()
        raise
    finally:
        before.restore_learning()
    if hasattr(model, _LOADED):
        setattr(model, _LOADED, True)
    return config


def _wrap(model: nn.Module, config: Any, name: str, keys: Sequence[str]) -> None:
    """Let peft wrap the layers that keys name, with weights that hold nothing yet."""
    from peft import inject_adapter_in_model  # noqa: PLC0415  an extra

    with _one_at_a_time, libraries_silenced():
        # peft says so of every adapter after the first, of biases that it cannot merge, and of the
        # target_modules that are written later: matching 700 names takes it a second.
        inject_adapter_in_model(
            config, model, adapter_name=name, low_cpu_mem_usage=True, state_dict=dict.fromkeys(keys)
        )


def _config(kind: str, weights: Mapping[str, Mapping[str, Tensor]]) -> Any:
    import peft  # noqa: PLC0415  an extra

    nothing = r"(?!)"  # no name of a layer
    if kind in {"LoKr", "LoHa"}:
        cls = peft.LoKrConfig if kind == "LoKr" else peft.LoHaConfig
        return cls(r=1, alpha=1, target_modules=nothing)
    biased = any({"bias", "bias_difference"} & tensors.keys() for tensors in weights.values())
    return peft.LoraConfig(
        r=1, lora_alpha=1, target_modules=nothing, init_lora_weights=False, lora_bias=biased,
        use_dora=kind == "DoRA",
    )  # fmt: skip


def _fill(layer: Any, name: str, kind: str, tensors: Mapping[str, Tensor], scale: float) -> None:
    """Put a file's weights in place of those that peft has laid out."""
    base = layer.get_base_layer()
    place, dtype = _place_of(base)

    def kept(tensor: Tensor) -> torch.nn.Parameter:
        # A copy: safetensors maps the file, and who trains writes it anew under the model's feet.
        there = tensor.to(device=place, dtype=dtype or tensor.dtype, copy=True)
        return torch.nn.Parameter(there.contiguous(), requires_grad=False)

    if kind in {"LoKr", "LoHa"}:
        for part in layer.adapter_layer_names:
            if name in getattr(layer, part):
                del getattr(layer, part)[name]
        for part, tensor in tensors.items():
            getattr(layer, part)[name] = kept(tensor)
        layer.r[name], layer.alpha[name], layer.scaling[name] = 1, scale, scale
        return
    down, up = layer.lora_A[name], layer.lora_B[name]
    rank = tensors["lora_A"].shape[0]
    down.weight = kept(tensors["lora_A"].reshape(rank, *down.weight.shape[1:]))
    up.weight = kept(tensors["lora_B"].reshape(up.weight.shape[0], rank, *up.weight.shape[2:]))
    for attribute in ("features", "channels"):
        if hasattr(down, f"out_{attribute}"):
            setattr(down, f"out_{attribute}", rank)
            setattr(up, f"in_{attribute}", rank)
    if up.bias is not None:
        up.bias = kept(_bias(tensors, scale))
    if kind == "DoRA":
        layer.lora_magnitude_vector[name].weight = kept(tensors["magnitude"])
    layer.r[name], layer.lora_alpha[name], layer.scaling[name] = rank, scale * rank, scale


def _bias(tensors: Mapping[str, Tensor], scale: float) -> Tensor:
    """What peft adds times the scale: ``lora_B.bias`` as it is, a difference of biases over it."""
    bias = tensors.get("bias")
    if "bias_difference" in tensors:
        unscaled = tensors["bias_difference"].float() / scale
        return unscaled if bias is None else unscaled + bias
    return torch.zeros(tensors["lora_B"].shape[0]) if bias is None else bias


def _place_of(base: Any) -> tuple[torch.device, torch.dtype | None]:
    """Where a layer's weight is, and in what a change to it is kept; ``None``: as in the file.

    Packed weights and those that are cast as they come are not computed in.
    """
    weight = base.weight
    plain = weight.dtype.is_floating_point and weight.dtype.itemsize >= _HALF
    return weight.device, weight.dtype if plain else None


def check_base(label: str, kind: str, model: nn.Module, layers: Sequence[str]) -> None:
    """Refuse what peft computes wrong on packed weights.

    Raises:
        ModelError: The change is no plain LoRA, and a layer is quantised.
    """
    for name in layers if kind != "LoRA" else ():
        base = base_of(model.get_submodule(name))
        plain = type(base.weight.data) is torch.Tensor and _place_of(base)[1] is not None
        if not plain:
            raise ModelError(
                f"{label} is a {kind}, which is not applied to quantised weights ({name}); load the"
                " model without quantisation, or merge it into the weights before"
            )


def _describe(
    config: Any,
    kind: str,
    weights: Mapping[str, Mapping[str, Tensor]],
    scales: Mapping[str, float],
) -> None:
    """Let the configuration say what the layers have, as ``save_lora_weights`` writes it."""
    if kind in {"LoKr", "LoHa"}:
        return
    ranks = {layer: tensors["lora_A"].shape[0] for layer, tensors in weights.items()}
    alphas = {layer: scales[layer] * rank for layer, rank in ranks.items()}
    config.r, config.lora_alpha = _most(ranks.values()), _most(alphas.values())
    config.rank_pattern = {name: rank for name, rank in ranks.items() if rank != config.r}
    config.alpha_pattern = {
        name: alpha for name, alpha in alphas.items() if alpha != config.lora_alpha
    }


def _most(values: Any) -> Any:
    counted = list(values)
    return max(dict.fromkeys(counted), key=counted.count)


def _prepare_hotswap(model: Any, config: Any, kind: str) -> None:
    """What diffusers does after ``enable_lora_hotswap()``, with the first LoRA."""
    options = getattr(model, _HOTSWAP, None)
    if options is not None and kind == "LoRA":
        from peft.utils.hotswap import prepare_model_for_compiled_hotswap  # noqa: PLC0415  an extra

        prepare_model_for_compiled_hotswap(model, config=config, **options)
        setattr(model, _HOTSWAP, None)


def take_off(model: Any, name: str) -> None:
    """Remove an adapter, and every wrapper that then holds none; the others stay as they are."""
    for layer in tuned(model):
        active = [other for other in layer.active_adapters if other != name]
        with libraries_silenced():  # peft would make another one active, and says so
            layer.delete_adapter(name)
            layer.set_adapter(active)
    _unwrap(model)
    configs = getattr(model, "peft_config", {})
    configs.pop(name, None)
    if not configs and hasattr(model, "peft_config"):
        del model.peft_config
        if hasattr(model, _LOADED):
            setattr(model, _LOADED, False)


def _unwrap(model: nn.Module) -> None:
    empty = {
        id(layer)
        for layer in tuned(model)
        if not any(len(getattr(layer, part)) for part in layer.adapter_layer_names)
    }
    for parent in list(model.modules()):
        for child, module in list(parent.named_children()):
            inner: Any = module
            while id(inner) in empty:
                inner = inner.base_layer
            if inner is not module:
                setattr(parent, child, inner)


@attrs.frozen(eq=False)
class _Before:
    """What peft changes of that which was there: what acts, and what learns."""

    acting: list[tuple[Any, list[str]]]
    learning: list[tuple[Any, bool]]

    @classmethod
    def of(cls, model: nn.Module) -> _Before:
        return cls(
            [(layer, list(layer.active_adapters)) for layer in tuned(model)],
            [(parameter, parameter.requires_grad) for parameter in model.parameters()],
        )

    def restore_acting(self) -> None:
        for layer, active in self.acting:
            layer.set_adapter(active)

    def restore_learning(self) -> None:
        for parameter, learns in self.learning:
            if parameter.requires_grad != learns:
                parameter.requires_grad_(learns)
