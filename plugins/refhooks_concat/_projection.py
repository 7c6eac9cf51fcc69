"""Projection files: what they say of themselves, whether they fit a model, and loading them."""

from __future__ import annotations

import contextlib
import json
import re
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch
from safetensors import SafetensorError, safe_open
from torch.nn.functional import linear

from refhooks import Adapter, InputError, LowRank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from refhooks import ModelInfo

WEIGHT = "projection.weight"
MAX_TENSORS = 20_000  # a LoRA on every layer of a 20 B model has about 3,000
MAX_BYTES = 8 * 2**30
MAX_NOTE = 10_000  # characters of what the header says of the projection
_DTYPES = ("F32", "F16", "BF16")
_LORA = re.compile(r"transformer\.(?P<layer>.+)\.(?P<part>lora_A\.weight|lora_B\.weight|alpha)")
_PARTS = ("lora_A.weight", "lora_B.weight", "alpha")

Shape = tuple[int, ...]


@attrs.frozen
class Header:
    """What a file says of itself.

    Attributes:
        path: Of the file.
        family: Family of the model it was made for.
        base: Checkpoint it was made for.
        shape: Of P, ``[width,C]``.
        layers: Sizes in and out of each layer that its LoRA changes, by name.
    """

    path: Path
    family: str
    base: str
    shape: Shape
    layers: Mapping[str, tuple[int, int]]


@attrs.frozen(eq=False)
class Projection:
    """What a file holds, in the dtype and on the device of a run.

    Attributes:
        weight: P, ``[width,C]``.
        adapter: Its LoRA, if it has one.
    """

    weight: Tensor
    adapter: Adapter | None

    def project(self, latents: Tensor) -> Tensor:
        """Return ``P·latents``, ``[B,T,width]``."""
        return linear(latents, self.weight)


# References with one file share what was loaded, as long as a run holds it.
_loaded: weakref.WeakValueDictionary[Any, Projection] = weakref.WeakValueDictionary()


def read_header(path: str) -> Header:
    """Return what a file says of itself; its tensors are not read.

    Raises:
        InputError: There is no such file, it is no safetensors file or beyond the caps, or holds
            what is no projection.
    """
    with _opened(path) as file:
        return _header(path, file)


def check_fit(header: Header, model: ModelInfo) -> None:
    """Refuse a projection that was made for another model.

    Raises:
        InputError: Family, base or a shape differs.
    """
    label = f"projection {header.path}"
    if header.family != model.family:
        raise InputError(f"{label} is for the family {header.family}, the model is {model.family}")
    if model.base is not None and header.base != model.base:
        raise InputError(f"{label} was trained on {header.base}, the model is {model.base}")
    layer = input_layer(model)
    expected = (layer.out_features, layer.in_features)
    if header.shape != expected:
        raise InputError(
            f"{label} has the shape {list(header.shape)}; the model needs {list(expected)}"
        )
    for name, sizes in header.layers.items():
        try:
            adapted = model.layer(name)
        except InputError as error:
            raise InputError(f"{label}, LoRA: {error}") from error
        if sizes != (adapted.in_features, adapted.out_features):
            raise InputError(
                f"{label}, LoRA: {name} is {sizes[0]} to {sizes[1]}; the model's is"
                f" {adapted.in_features} to {adapted.out_features}"
            )


def load_projection(path: str, model: ModelInfo, *, like: Tensor) -> Projection:
    """Load a file that fits the model, in the dtype and on the device of a tensor.

    Raises:
        InputError: As :func:`read_header` and :func:`check_fit`; or it holds NaN or infinity.
    """
    with _opened(path) as file:
        header = _header(path, file)
        check_fit(header, model)
        place = header.path.resolve()
        stat = place.stat()
        key = (place, stat.st_mtime_ns, stat.st_size, like.dtype, like.device)
        projection = _loaded.get(key)
        if projection is None:
            projection = _loaded[key] = _load(file, header, like)
    return projection


def input_layer(model: ModelInfo) -> Any:
    """Return the linear layer that latent tokens enter by.

    Raises:
        InputError: The family has none, or it is compiled.
    """
    if model.input_projection is None:
        raise InputError(f"concat: {model.family} has no input projection that anything can join")
    return model.layer(model.input_projection)


@torch.no_grad()
def without_bias(layer: Any, latents: Tensor) -> Tensor:
    """Return ``W·latents`` of a linear layer, which may be offloaded, quantised or have a LoRA."""
    place = layer.weight.device  # "meta" where the layer's own hooks fetch weights and inputs
    there = latents if place.type == "meta" else latents.to(place)
    product: Tensor = layer(there) - layer(torch.zeros_like(there[:, :1]))
    return product.to(latents.device)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    place = Path(path)
    if place.is_dir():
        raise InputError(f"projection {path} is a directory; give a .safetensors file")
    if not place.is_file():
        raise InputError(f"projection {path}: there is no such file")
    if place.stat().st_size > MAX_BYTES:
        raise InputError(f"projection {path} is larger than {MAX_BYTES // 2**30} GiB")
    try:
        with safe_open(place, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise InputError(f"projection {path} is not a safetensors file: {error}") from error


def _header(path: str, file: Any) -> Header:
    label, keys = f"projection {path}", list(file.keys())
    if len(keys) > MAX_TENSORS:
        raise InputError(f"{label} holds {len(keys)} tensors; at most {MAX_TENSORS} are read")
    if WEIGHT not in keys:
        raise InputError(f"{label} holds no {WEIGHT}, so it is no projection")
    shapes: dict[str, Shape] = {}
    for key in keys:
        part = file.get_slice(key)
        if part.get_dtype() not in _DTYPES:
            raise InputError(f"{label}: {key} is {part.get_dtype()}; expected one of {_DTYPES}")
        shapes[key] = tuple(part.get_shape())
    said = file.metadata() or {}
    for name in ("family", "base", "projection"):
        if not said.get(name):
            raise InputError(f"{label}: its header does not name {name}")
    shape = shapes.pop(WEIGHT)
    if len(shape) != 2 or 0 in shape or _said_shape(said["projection"], label) != shape:
        raise InputError(
            f"{label}: {WEIGHT} has the shape {list(shape)}, its header says {said['projection']}"
        )
    return Header(Path(path), said["family"], said["base"], shape, _layers(shapes, label))


def _said_shape(text: str, label: str) -> Shape | None:
    try:
        said = json.loads(text) if len(text) <= MAX_NOTE else None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label}: what its header says of projection is no JSON") from error
    shape = said.get("shape") if isinstance(said, dict) else None
    if not isinstance(shape, list) or any(type(side) is not int for side in shape):
        return None
    return tuple(shape)


def _layers(shapes: Mapping[str, Shape], label: str) -> dict[str, tuple[int, int]]:
    """Return the sizes in and out of each layer of a LoRA in the format of diffusers."""
    parts: dict[str, dict[str, Shape]] = {}
    for key, shape in shapes.items():
        match = _LORA.fullmatch(key)
        if match is None:
            raise InputError(f"{label} holds {key}, which is neither a projection nor a LoRA's")
        parts.setdefault(match["layer"], {})[match["part"]] = shape
    layers = {}
    for name, part_shapes in parts.items():
        down, up, alpha = (part_shapes.get(part) for part in _PARTS)
        if down is None or up is None or not _is_low_rank(down, up):
            raise InputError(
                f"{label}: the LoRA of {name} needs lora_A [rank,in] and lora_B [out,rank], got"
                f" {down} and {up}"
            )
        if alpha not in (None, (), (1,)):
            raise InputError(f"{label}: the LoRA of {name} needs one number alpha, got {alpha}")
        layers[name] = (down[1], up[0])
    return layers


def _is_low_rank(down: Shape, up: Shape) -> bool:
    """Whether ``up @ down`` is a product of a rank of at least 1."""
    return len(down) == 2 == len(up) and down[0] == up[1] and 0 not in (*down, *up)


def _load(file: Any, header: Header, like: Tensor) -> Projection:
    def read(key: str) -> Tensor:
        tensor: Tensor = file.get_tensor(key).to(like)
        if not torch.isfinite(tensor).all():
            raise InputError(f"projection {header.path}: {key} holds NaN or infinity")
        return tensor

    keys = set(file.keys())
    entries = []
    for name in header.layers:
        down_key, up_key, alpha_key = (f"transformer.{name}.{part}" for part in _PARTS)
        down, up = read(down_key), read(up_key)
        if alpha_key in keys:
            up = up * (read(alpha_key).reshape(()) / down.shape[0])
        entries.append(LowRank(name, down, up))
    adapter = Adapter(f"concat {header.path.resolve()}", tuple(entries)) if entries else None
    return Projection(read(WEIGHT), adapter)
