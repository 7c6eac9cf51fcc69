"""A model's transformer from a single file, where the rest comes from a folder or repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import diffusers
import torch
from accelerate import init_empty_weights

from refhooks._base.advice import warn_user
from refhooks._base.weight_files.filling import check_gguf, fill
from refhooks._base.weight_files.fitting import fit
from refhooks._base.weight_files.opening import open_weights
from refhooks._base.weight_files.sources import note_source
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from refhooks._base.weight_files.fitting import Convert, Fit

__all__ = ["load_transformer_file", "with_transformer"]

_PART = "transformer"
# Marks without weights by which files say what a configuration says here: key, and its value.
_MARKS = {"__index_timestep_zero__": ("zero_cond_t", True)}


def with_transformer(
    path: str | Path,
    name: str,
    index: Mapping[str, Any],
    kwargs: dict[str, Any],
    device: torch.device | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what diffusers is given to load a pipeline, with the transformer of a file in it.

    Args:
        path: Of the file.
        name: The folder or repository that all else comes from.
        index: Its ``model_index.json``.
        kwargs: What diffusers is given otherwise, with ``dtype``. Where a transformer that holds
            nothing is in it, the file is only checked.
        device: Where the model will be; ``None``: the CPU.
        options: Where the Hub is asked.

    Raises:
        ModelError: The file cannot be used.
    """
    if _PART in kwargs:
        _check(path, kwargs[_PART], name)
        return kwargs
    if kwargs.get("quantization_config") is not None:
        _warn(f"what loading quantises is not the transformer: it is as {path} has it")
    dtype: Any = kwargs.get("dtype", kwargs.get("torch_dtype"))
    module = load_transformer_file(path, name, index, dtype=dtype, device=device, options=options)
    return {**kwargs, _PART: module}


def load_transformer_file(
    path: str | Path,
    name: str,
    index: Mapping[str, Any],
    *,
    dtype: torch.dtype,
    device: torch.device | None,
    options: Mapping[str, Any],
) -> Any:
    """Return the transformer of a model, with the weights of a file.

    Args:
        path: As :meth:`refhooks.LoadedModel.from_pretrained` takes it.
        name: The folder or repository with its configuration.
        index: Its ``model_index.json``.
        dtype: Of the weights; what is scaled or in another dtype is converted.
        device: Where each weight is sent as soon as it is read; ``None``: the CPU.
        options: Where the Hub is asked.

    Raises:
        ModelError: The file cannot be used, or the model has no transformer of diffusers.
    """
    file = open_weights(path)
    source = index.get(_PART)
    kind = None
    if isinstance(source, list) and len(source) == 2 and source[0] == "diffusers":
        kind = getattr(diffusers, str(source[1]), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.ModelMixin)):
        raise ModelError(f"{name} has no transformer of diffusers, so {path} has no place in it")
    config = kind.load_config(name, subfolder=_PART, **options)  # type: ignore[attr-defined]
    with init_empty_weights():
        module = kind.from_config(config)  # type: ignore[attr-defined]
    check_gguf(file)
    laid = _fit(file, module, name)
    in_float32 = module._keep_in_fp32_modules or ()  # noqa: SLF001  diffusers' own loader asks it
    in_float32 = [in_float32] if isinstance(in_float32, str) else list(in_float32)
    fill(module, file, laid, dtype=dtype, device=device, in_float32=in_float32)
    if not in_float32 and getattr(module, "hf_quantizer", None) is None:
        torch.nn.Module.to(module, dtype)  # buffers that no file holds
    torch.nn.Module.to(module, device)
    note_source(module, file)
    return module.eval()


def _check(path: str | Path, module: Any, name: str) -> None:
    file = open_weights(path)
    check_gguf(file)
    _fit(file, module, name)
    note_source(module, file)


def _fit(file: Any, module: Any, name: str) -> Fit:
    laid = fit(file, module.state_dict(), _converter(module), f"{type(module).__name__} of {name}")
    if laid.left:
        _warn(
            f"{file.path} holds {laid.left} tensors besides the transformer's; they are ignored, as"
            f" text encoder and VAE are those of {name}"
        )
    for mark in laid.marks & _MARKS.keys():
        key, expected = _MARKS[mark]
        if module.config.get(key, expected) != expected:
            _warn(
                f"{file.path} was made for a model with {key}={expected}, and {name} has"
                f" {module.config[key]}: its references will look wrong. Name the model that the"
                " file is of, such as Qwen/Qwen-Image-Edit-2511"
            )
    return laid


def _warn(message: str) -> None:
    warn_user(message)


def _converter(module: Any) -> Convert | None:
    """What diffusers does to files of another layout, such as those that ComfyUI writes."""
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES  # noqa: PLC0415

    for kind in type(module).__mro__:
        known = SINGLE_FILE_LOADABLE_CLASSES.get(kind.__name__)
        if known is not None:
            convert = known["checkpoint_mapping_fn"]
            return lambda tensors: convert(checkpoint=tensors, config=dict(module.config))
    return None
