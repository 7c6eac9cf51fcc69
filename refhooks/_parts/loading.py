"""Loading a model from a folder or the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
)
from safetensors import SafetensorError

from refhooks._base.files import is_file, is_folder
from refhooks._base.forks import settle
from refhooks._base.names import did_you_mean, listed
from refhooks._base.shown import shown
from refhooks.errors import ModelError, OutOfMemoryError

if TYPE_CHECKING:
    from refhooks._core.contract.checkpoint import Checkpoint
    from refhooks._core.contract.entries import EmbeddedModel, FamilyEntry
    from refhooks._core.plugins.registry import Registry

INDEX = "model_index.json"
DTYPES = {
    "float32": torch.float32, "fp32": torch.float32,
    "float16": torch.float16, "fp16": torch.float16,
    "bfloat16": torch.bfloat16, "bf16": torch.bfloat16,
}  # fmt: skip
_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "token")


def load_model(
    name_or_path: str | Path,
    *,
    registry: Registry,
    device: str | torch.device | None,
    dtype: str | torch.dtype | None,
    kwargs: dict[str, Any],
    weights: bool = True,
    transformer: str | Path | None = None,
) -> tuple[Any, Checkpoint | None]:
    """Load a pipeline of a family that a live plugin knows, with what its checkpoint prescribes.

    Without weights, models are built from their configurations; an embedded one is loaded. A file
    takes the place of the transformer's weights.

    Raises:
        ModelError, OutOfMemoryError: As :meth:`refhooks.Editor.from_pretrained` says.
    """
    settle()
    place = None if device is None else check_device(device)
    if dtype is not None:
        kwargs = {**kwargs, "dtype": check_dtype(dtype)}
    embedded = registry.models.get(str(name_or_path))
    if embedded is not None:
        given = {} if transformer is None else {"transformer": transformer}
        return _load_embedded(embedded, place, {**kwargs, **given})
    name = str(name_or_path)
    index = _read_index(name, registry, kwargs)
    entry, pipeline = _find(name, index, registry)
    if not {"dtype", "torch_dtype"} & kwargs.keys():
        kwargs = {**kwargs, "dtype": _file_dtype(name, index, kwargs)}
    try:
        if not weights:
            kwargs, place = _without_weights(name, index, kwargs), None
        if transformer is not None:
            from refhooks._base.weight_files.transformer import with_transformer  # noqa: PLC0415  imports accelerate

            kwargs = with_transformer(transformer, name, index, kwargs, place, _of_hub(kwargs))
        return _placed(entry.load().load(pipeline, str(name_or_path), **kwargs), place), None
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{name_or_path} does not fit into the memory of {place or 'the device'}; load it"
            " without a device and offload it (pipe.enable_model_cpu_offload(), --offload model or"
            " group), or quantise it (quantization_config, --quantize int8)"
        ) from error
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{name_or_path} cannot be loaded: {error}") from error


def _without_weights(name: str, index: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What diffusers is given to load a pipeline with models that hold nothing."""
    from refhooks._parts.empty_weights import weightless_modules  # noqa: PLC0415  imports transformers

    unused = sorted(kwargs.keys() - {*_HUB_OPTIONS, "dtype", "torch_dtype"})
    if unused:
        raise ModelError(f"without weights a model takes no {listed(unused)}")
    options = _of_hub(kwargs)
    dtype = kwargs.get("dtype", kwargs.get("torch_dtype"))
    torch_dtype = dtype if isinstance(dtype, torch.dtype) else torch.float32
    return {
        **options,
        "dtype": torch_dtype,
        **weightless_modules(name, index, torch_dtype, options),
    }


def _load_embedded(
    embedded: EmbeddedModel, place: torch.device | None, kwargs: dict[str, Any]
) -> tuple[Any, Checkpoint]:
    unused = sorted(kwargs.keys() - {"dtype", "torch_dtype"})
    if unused:
        raise ModelError(f"{embedded.name} comes with refhooks and takes no {listed(unused)}")
    try:
        pipe = embedded.load()
    except OSError as error:
        raise ModelError(f"{embedded.name} cannot be loaded: {error}") from error
    return _placed(pipe, place, kwargs.get("dtype", kwargs.get("torch_dtype"))), embedded.checkpoint


def _placed(pipe: Any, place: torch.device | None, dtype: torch.dtype | None = None) -> Any:
    wanted = [entry for entry in (place, dtype) if entry is not None]
    return pipe.to(*wanted) if wanted else pipe


def check_device(device: str | torch.device) -> torch.device:
    """Return a device that is there.

    Raises:
        ModelError: It is not, or is no device.
    """
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        there = ["cpu"]
        if torch.accelerator.is_available():
            there.append(str(torch.accelerator.current_accelerator()))
        raise ModelError(
            f"there is no device {str(device)!r} here; available: {listed(there)}"
        ) from error
    return place


def check_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return a floating dtype.

    Raises:
        ModelError: It is none that models run in.
    """
    torch_dtype = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(torch_dtype, torch.dtype) or torch_dtype not in DTYPES.values():
        names = [name for name in DTYPES if "float" in name]
        raise ModelError(
            f"dtype must be one of {listed(names)}; got {shown(dtype)}."
            f"{did_you_mean(shown(dtype), DTYPES)}"
        )
    return torch_dtype


def _find(name: str, index: Any, registry: Registry) -> tuple[FamilyEntry, Any]:
    """The class named in the index selects among the registered ones; it never imports code."""
    class_name = index.get("_class_name") if isinstance(index, dict) else None
    for entry in registry.families.values():
        if class_name in entry.pipelines:
            return entry, getattr(diffusers, class_name)
    raise ModelError(f"{name} is a {class_name}: {registry.no_family(class_name)}")


def _file_dtype(name: str, index: dict[str, Any], kwargs: dict[str, Any]) -> torch.dtype:
    """The dtype in which the text encoder's files were written.

    Left to themselves, transformers keeps that of the files and diffusers takes float32; a pipeline
    of both would not run.
    """
    for part, source in index.items():
        if isinstance(source, list) and source[:1] == ["transformers"]:
            config = _read_json(name, f"{part}/config.json", kwargs)
            dtype_name = config.get("dtype", config.get("torch_dtype")) if config else None
            if dtype_name in DTYPES:
                return DTYPES[dtype_name]
    return torch.float32


def _read_index(name: str, registry: Registry, kwargs: dict[str, Any]) -> Any:
    if name and is_folder(name):
        index = _read_json(name, INDEX, kwargs)
        if index is None:
            raise ModelError(f"{name} has no {INDEX}, so it is not a diffusers pipeline's folder")
        return index
    if name and is_file(name):
        raise ModelError(
            f"{name} is a single file, which holds a transformer and not the whole model; name the"
            f" model that it is of, and the file as its transformer: --model OWNER/NAME"
            f' --transformer {name}, or from_pretrained("OWNER/NAME", transformer=...)'
        )
    if name.lower().endswith((".safetensors", ".sft", ".gguf")):
        raise ModelError(f"{name}: there is no such file")
    if "/" not in name:  # the Hub has no such repositories; asking it would hide a typing error
        raise _no_model(name, registry)
    try:
        return _read_json(name, INDEX, kwargs)
    except HFValidationError as error:
        raise _no_model(name, registry) from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name} is not on this machine and the Hugging Face Hub cannot be reached. Where there"
            f" is a network, run: hf download {name}"
        ) from error
    except HfHubHTTPError as error:
        raise ModelError(f"the Hugging Face Hub does not give {name}: {error}") from error


def _read_json(name: str, place: str, kwargs: dict[str, Any]) -> Any:
    """Return a JSON file of a folder or repository; ``None`` if there is none."""
    if is_folder(name):
        path = Path(name) / place
        if not is_file(path):
            return None
    else:
        options = _of_hub(kwargs)
        try:
            path = Path(hf_hub_download(name, place, **options))
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):
                raise
            return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON: {error}") from error


def _of_hub(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that say where and how the Hub is asked."""
    return {key: value for key, value in kwargs.items() if key in _HUB_OPTIONS}


def _no_model(name: str, registry: Registry) -> ModelError:
    known = sorted(registry.models)
    return ModelError(
        f"there is no model {name!r}: no folder, no embedded model, and no repository's name"
        f" (owner/name).{did_you_mean(name, known)} Embedded: {listed(known)}.{registry.absent()}"
    )
