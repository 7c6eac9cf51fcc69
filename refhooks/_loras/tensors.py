"""The weights of a file, under peft's names, checked to be finite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from refhooks._loras.header import stamp_of
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from refhooks._loras.header import Header
    from refhooks._loras.layers import Change, Fit

_BY_OUTPUT = {
    "up", "difference", "magnitude", "bias", "bias_difference", "lokr_w1", "lokr_w1_a", "hada_w1_a",
    "hada_w2_a",
}  # fmt: skip
_EIGHT_BITS = 1  # bytes; nothing is computed in such floats


def read_tensors(header: Header, fit: Fit) -> tuple[dict[str, dict[str, Tensor]], dict[str, float]]:
    """Return the weights of each layer by peft's names, and the alphas that are tensors.

    A LoRA's are ``lora_A`` ``[rank,in]``, ``lora_B`` ``[out,rank]`` and, each ``[out]``, ``bias``,
    ``bias_difference`` and ``magnitude``; those of LoKr and LoHa have the names of their keys.

    Raises:
        InputError: The file has changed or cannot be read, or holds NaN or infinity.
    """
    try:
        if stamp_of(header.path) != header.stamp:
            raise InputError(f"{header.label} has changed while it was read")
        with safe_open(header.path, framework="pt") as opened:
            weights = {change.layer: _read(header, change, opened) for change in fit.changes}
            alphas = {
                change.layer: float(opened.get_tensor(change.keys["alpha"]).reshape(()))
                for change in fit.changes
                if "alpha" in change.keys
            }
    except (OSError, SafetensorError) as error:
        raise InputError(f"{header.label}: not a safetensors file: {error}") from error
    return weights, alphas


def _read(header: Header, change: Change, opened: Any) -> dict[str, Tensor]:
    tensors = {}
    for part, key in change.keys.items():
        if part == "alpha":
            continue
        tensor = opened.get_tensor(key)
        if tensor.dtype.itemsize == _EIGHT_BITS:
            tensor = tensor.to(torch.bfloat16)
        if not _is_finite(tensor):
            raise InputError(f"{header.label}: {key[:80]} holds NaN or infinity")
        tensors[part] = tensor
    if change.rows:
        tensors = {part: _own(change, part, tensor, tensors) for part, tensor in tensors.items()}
    return tensors if change.kind != "LoRA" else _low_rank(change, tensors)


def _own(change: Change, part: str, tensor: Tensor, tensors: Mapping[str, Tensor]) -> Tensor:
    """The layer's outputs of a part; of a Kronecker product, the blocks that are its own."""
    if part not in _BY_OUTPUT:
        return tensor
    inner = tensors.get("lokr_w2", tensors.get("lokr_w2_a"))
    block = 1 if inner is None else len(inner)
    return torch.cat([tensor[start // block : stop // block] for start, stop in change.rows])


def _is_finite(tensor: Tensor) -> bool:
    """One pass over the values: the largest is finite where all are."""
    if not tensor.numel():
        return True
    low, high = torch.aminmax(tensor)
    return bool(torch.isfinite(low)) and bool(torch.isfinite(high))


def _low_rank(change: Change, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring what a file may say of a LoRA to two factors, with a bias and a magnitude."""
    outputs, inputs = change.size
    weights: dict[str, Tensor] = {}
    if "difference" in tensors:
        whole = tensors["difference"].reshape(outputs, inputs)
        one = torch.eye(min(change.size), dtype=whole.dtype)
        pair = (one, whole) if inputs <= outputs else (whole, one)
        weights["lora_A"], weights["lora_B"] = pair
    elif "down" in tensors:
        weights["lora_A"] = tensors["down"].reshape(change.rank, inputs)
        weights["lora_B"] = tensors["up"].reshape(outputs, change.rank)
    else:
        weights["lora_A"] = torch.zeros(1, inputs)
        weights["lora_B"] = torch.zeros(outputs, 1)
    weights |= {part: tensors[part] for part in ("bias", "bias_difference") if part in tensors}
    if "magnitude" in tensors:
        weights["magnitude"] = tensors["magnitude"].reshape(outputs)
    return weights
