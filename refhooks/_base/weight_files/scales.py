"""The scales of weights that a file keeps in eight bits.

A value is ``code · scale``, with one scale for a tensor, a row, a column or a block of it. Names
differ: ``X.weight_scale``, ``X.weight_scale_inv`` and ``X.scale_weight`` are the same number to
multiply by. Scales of a layer's *input* (``X.input_scale``, ``X.scale_input``) say how activations
may be rounded for a faster product; they do not change the weights.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._base.weight_files.entries import EIGHT_BITS, shape_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from refhooks._base.weight_files.entries import Entry, WeightFile

__all__ = ["MARKER", "Companions", "Scale", "checked_scale", "companions"]

MARKER = "scaled_fp8"
FORMATS = ("float8_e4m3fn", "float8_e5m2", "int8")
_INPUT = ("input_scale", "scale_input", "input_scale_inv")
_QUANT = "comfy_quant"
_POWERS = (16, 32, 64, 128, 256, 512)


@attrs.frozen(eq=False)
class Companions:
    """What stands beside the weights of a file.

    Attributes:
        scales: By the name of a weight, that of its scale.
        formats: By the name of a layer, how the file says that it was quantised.
        ignored: Names that change no weight.
        scaled: Whether the file says anywhere that its weights are scaled.
    """

    scales: Mapping[str, str]
    formats: Mapping[str, Mapping[str, Any]]
    ignored: frozenset[str]
    scaled: bool


def companions(
    file: WeightFile, names: Collection[str], prefix: str, told: Mapping[str, bytes]
) -> Companions:
    """Return what belongs to the weights of a file, by name.

    Args:
        file: For messages, and for what its header says of layers.
        names: Those of the file, without a prefix.
        prefix: It, which what the header says of layers may have too.
        told: The bytes of each ``comfy_quant``, by its name without a prefix.

    Raises:
        ModelError: A weight has two scales, or a layer is quantised in a way that is not read.
    """
    scales: dict[str, str] = {}
    ignored = {name for name in names if name.rpartition(".")[2] in {MARKER, _QUANT}}
    for name in names:
        layer, dot, leaf = name.rpartition(".")
        if leaf in _INPUT and layer + dot + "weight" in names:
            ignored.add(name)
        weight = layer + dot + _scaled_by(leaf)
        if _scaled_by(leaf) and weight in names:
            if weight in scales:
                raise file.error(
                    f"{weight!r:.120} has two scales, {scales[weight]!r:.120} and {name!r:.120}"
                )
            scales[weight] = name
    formats = _formats(file, names, prefix, told)
    marked = any(name.rpartition(".")[2] == MARKER for name in names)
    return Companions(scales, formats, frozenset(ignored), bool(scales or formats or marked))


def _scaled_by(leaf: str) -> str:
    """The weight that a tensor of this name scales; empty: it is no scale."""
    for suffix in ("_scale", "_scale_inv"):
        if leaf.endswith(suffix):
            return leaf.removesuffix(suffix)
    return leaf.removeprefix("scale_") if leaf.startswith("scale_") else ""


def _formats(
    file: WeightFile, names: Collection[str], prefix: str, told: Mapping[str, bytes]
) -> dict[str, Mapping[str, Any]]:
    formats: dict[str, Mapping[str, Any]] = {}
    header = file.metadata.get("_quantization_metadata")
    if header is not None:
        layers = _json(file, header, "_quantization_metadata").get("layers", {})
        own = layers.items() if isinstance(layers, dict) else ()
        stripped = {layer.removeprefix(prefix): said for layer, said in own}
        formats |= {layer: it for layer, it in stripped.items() if f"{layer}.weight" in names}
    for name, data in told.items():
        formats[name.removesuffix(f".{_QUANT}")] = _json(file, data.rstrip(b"\0"), name)
    for layer, said in formats.items():
        if not isinstance(said, dict):
            raise file.error(f"damaged: what it says of {layer!r:.120} is no table")
        kind, rotated = said.get("format"), said.get("convrot")
        if not isinstance(kind, str) or not kind.startswith(FORMATS) or rotated:
            shown = f"{kind}, rotated" if rotated else kind
            raise file.error(
                f"{layer!r:.120} is quantised as {shown!s:.40}, which is not read; scaled"
                " float8_e4m3fn, float8_e5m2 and int8 are, and GGUF"
            )
    return formats


def _json(file: WeightFile, data: str | bytes, name: str) -> dict[str, Any]:
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise file.error(f"damaged: {name!r:.120} is no JSON") from error
    if not isinstance(table, dict):
        raise file.error(f"damaged: {name!r:.120} is no table")
    return table


@attrs.frozen(eq=False)
class Scale:
    """What the codes of a weight are multiplied by.

    Attributes:
        values: float32; one number, or as many axes as the weight has.
        blocks: Values of the weight that share one, along each axis.
        shape: Of the weight.
    """

    values: torch.Tensor
    blocks: tuple[int, ...]
    shape: tuple[int, ...]

    def to(self, device: torch.device) -> Scale:
        """Return it on a device."""
        return attrs.evolve(self, values=self.values.to(device))

    def over(self, first: int, last: int) -> torch.Tensor:
        """Return what the rows from ``first`` up to ``last`` are multiplied by, broadcastable."""
        values = self.values
        if values.ndim == 0:
            return values
        if len(values) > 1:
            size, begin = self.blocks[0], first // self.blocks[0]
            values = values[begin : math.ceil(last / size)]
            if size > 1:
                values = values.repeat_interleave(size, 0)[first - begin * size :][: last - first]
        for axis, whole in enumerate(self.shape[1:], 1):
            if values.shape[axis] not in {1, whole}:
                values = values.repeat_interleave(self.blocks[axis], axis).narrow(axis, 0, whole)
        return values


def checked_scale(
    file: WeightFile, weight: Entry, scale: torch.Tensor, said: Mapping[str, Any]
) -> Scale | None:
    """Return the scale of a weight; ``None``: it changes nothing.

    Args:
        file: For messages.
        weight: What it scales.
        scale: As the file has it.
        said: How the file says that the layer was quantised; empty: it says nothing.

    Raises:
        ModelError: It has a wrong shape, holds zero, NaN, infinity or a negative number, or the
            weight is not one of eight bits.
    """
    values = scale.to(torch.float32)
    if not bool((torch.isfinite(values) & (values > 0)).all()) or values.numel() == 0:
        wrong = values[~(torch.isfinite(values) & (values > 0))].flatten()
        shown = f"holds {wrong[0].item()}" if len(wrong) else "is empty"
        raise file.error(
            f"the scale of {weight.name!r:.120} {shown}; expected finite numbers above 0"
        )
    if weight.kind not in (*EIGHT_BITS, "U8"):
        if bool((values == 1).all()):
            return None
        raise file.error(
            f"{weight.name!r:.120} has a scale, but is {weight.kind} and not of eight bits"
        )
    while values.ndim > max(1, len(weight.shape)) and values.shape[-1] == 1:
        values = values.squeeze(-1)
    laid = _laid(values, weight.shape, said)
    if laid is None:
        rows = weight.shape[0] if weight.shape else 1
        raise file.error(
            f"the scale of {weight.name!r:.120} has the shape {shape_text(tuple(scale.shape))};"
            f" expected one number, {rows}, {rows}x1, or one for each block of"
            f" {shape_text(weight.shape)}"
        )
    return laid


def _laid(values: torch.Tensor, shape: tuple[int, ...], said: Mapping[str, Any]) -> Scale | None:
    if values.numel() == 1:
        return Scale(values.reshape(()), (), shape)
    if values.ndim == 1 and shape and len(values) == shape[0]:
        values = values.reshape(-1, *[1] * (len(shape) - 1))
    if values.ndim != len(shape):
        return None
    pairs = zip(shape, values.shape, strict=True)
    blocks = tuple(_block(whole, parts, said) for whole, parts in pairs)
    return None if 0 in blocks else Scale(values, blocks, shape)


def _block(whole: int, parts: int, said: Mapping[str, Any]) -> int:
    """Values that share a scale along an axis; 0: so many parts are no blocks of it.

    Where the last block is smaller, only a size that the file says, or a power of two, tells it.
    """
    if parts == 1:
        return whole
    size = said.get("group_size", said.get("block_size"))
    if type(size) is int and size > 0 and math.ceil(whole / size) == parts:
        return size
    if whole % parts == 0:
        return whole // parts
    fitting = [power for power in _POWERS if math.ceil(whole / power) == parts]
    return fitting[0] if len(fitting) == 1 else 0
