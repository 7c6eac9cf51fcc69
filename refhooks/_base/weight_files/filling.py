"""Filling a module that holds nothing from a file, a tensor at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks._base.weight_files.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from refhooks._base.weight_files.entries import Entry, WeightFile
    from refhooks._base.weight_files.fitting import Fit

__all__ = ["check_gguf", "fill", "is_quantised"]

_FLOATS = ("F64", "F32", "F16", "BF16")


def is_quantised(file: WeightFile) -> bool:
    """Whether weights stay as the file has them, and are dequantised where they are used."""
    return file.form == "gguf" and any(it.kind not in _FLOATS for it in file.entries.values())


def check_gguf(file: WeightFile) -> None:
    """Refuse a type of GGUF that diffusers does not read.

    Raises:
        ModelError: One of its tensors has such a type.
    """
    if not is_quantised(file):
        return
    from diffusers.quantizers.gguf.utils import SUPPORTED_GGUF_QUANT_TYPES  # noqa: PLC0415  needs gguf

    known = {kind.name for kind in SUPPORTED_GGUF_QUANT_TYPES}
    for entry in file.entries.values():
        if entry.kind not in {*known, *_FLOATS}:
            raise file.error(
                f"{entry.name!r:.120} has the type {entry.kind}, which diffusers does not read; it"
                f" reads {', '.join(sorted(known))}"
            )


def fill(
    module: Any,
    file: WeightFile,
    laid: Fit,
    *,
    dtype: torch.dtype,
    device: torch.device | None,
    in_float32: Collection[str] = (),
) -> None:
    """Read all weights of a module from a file.

    Args:
        module: On no device; every weight and buffer of its ``state_dict`` is replaced.
        file: Its header was read.
        laid: How it fills the module.
        dtype: Of floating weights; those that a GGUF quantises stay so where a linear layer has
            them, in layers that ``diffusers`` makes for it.
        device: Where each tensor is sent as soon as it is read; ``None``: the CPU.
        in_float32: Parts of names of weights that stay in float32, as diffusers has them.

    Raises:
        ModelError: The file was cut off since its header was read.
    """
    filling = _Filling(module, file, laid, dtype, set(in_float32))
    with file.path.open("rb", buffering=0) as opened:
        reader = Reader(file, opened, device)
        order = sorted(laid.entries.items(), key=lambda it: it[1].start)
        if laid.convert is None and not is_quantised(file):
            for name, entry in order:
                _put(module, name, filling.value(reader, name, entry), device)
            return
        tensors = {name: filling.value(reader, name, entry) for name, entry in order}
    own = tensors if laid.convert is None else dict(laid.convert(tensors))
    if is_quantised(file):
        own = filling.quantised(own)
    for name in list(own):
        _put(module, name, own.pop(name), device)


class _Filling:
    def __init__(
        self, module: Any, file: WeightFile, laid: Fit, dtype: torch.dtype, in_float32: set[str]
    ) -> None:
        self._module, self._file, self._laid = module, file, laid
        self._dtype, self._in_float32 = dtype, in_float32
        self._own = {name: value.dtype for name, value in module.state_dict().items()}

    def value(self, reader: Reader, name: str, entry: Entry) -> Any:
        """Return one tensor, in the dtype that it will have; of a GGUF, quantised as it is."""
        if self._file.form == "gguf" and entry.kind not in _FLOATS:
            stored: torch.Tensor = _quantised(reader.raw(entry), entry)
            return stored
        own = self._own.get(name, torch.float32)
        if not own.is_floating_point:
            plain: torch.Tensor = reader.plain(entry).to(own)
            return plain
        scale = self._laid.scales.get(name)
        return reader.values(entry, self._laid.kinds[name], self._wanted(name), scale)

    def _wanted(self, name: str) -> torch.dtype:
        kept = self._in_float32.intersection(name.split("."))
        return torch.float32 if kept else self._dtype

    def quantised(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Keep what linear layers have quantised, in layers of diffusers; dequantise the rest."""
        import diffusers  # noqa: PLC0415  takes seconds
        from diffusers.quantizers import DiffusersAutoQuantizer  # noqa: PLC0415
        from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor  # noqa: PLC0415

        own = {}
        for name, value in tensors.items():
            layer, _, leaf = name.rpartition(".")
            linear = isinstance(self._module.get_submodule(layer), torch.nn.Linear)
            kept = linear and leaf == "weight" and self._wanted(name) == self._dtype
            loose = hasattr(value, "quant_type") and not kept
            own[name] = dequantize_gguf_tensor(value).to(self._wanted(name)) if loose else value
        config = diffusers.GGUFQuantizationConfig(compute_dtype=self._dtype)
        quantizer = DiffusersAutoQuantizer.from_config(config)
        quantizer.validate_environment()
        parts = sorted(self._in_float32)
        quantizer.preprocess_model(
            model=self._module, device_map=None, state_dict=own, keep_in_fp32_modules=parts
        )
        quantizer.postprocess_model(self._module)
        self._module.hf_quantizer = quantizer
        return own


def _quantised(data: torch.Tensor, entry: Entry) -> Any:
    import gguf  # noqa: PLC0415  an extra
    from diffusers.quantizers.gguf.utils import GGUFParameter  # noqa: PLC0415

    kind = gguf.GGMLQuantizationType[entry.kind]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows = (*entry.shape[:-1], entry.shape[-1] // block * size)
    return GGUFParameter(data.reshape(rows), quant_type=kind)


def _put(module: Any, name: str, value: torch.Tensor, device: torch.device | None) -> None:
    layer, _, leaf = name.rpartition(".")
    owner = module.get_submodule(layer)
    placed = value if device is None else value.to(device)
    if leaf in dict(owner.named_buffers(recurse=False)) or isinstance(placed, torch.nn.Parameter):
        setattr(owner, leaf, placed)
    else:
        setattr(owner, leaf, torch.nn.Parameter(placed, requires_grad=placed.is_floating_point()))
