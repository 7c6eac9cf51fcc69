"""Loading a model from a folder or the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from refhooks._names import did_you_mean, listed
from refhooks.errors import ModelError

if TYPE_CHECKING:
    from refhooks._family import Checkpoint, FamilyEntry
    from refhooks._registry import Registry

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
) -> tuple[Any, Checkpoint | None]:
    """Load a pipeline of a family that a live plugin knows, with what its checkpoint prescribes.

    Raises:
        ModelError: As :meth:`refhooks.Editor.from_pretrained` says.
    """
    place = None if device is None else check_device(device)
    if dtype is not None:
        kwargs = {**kwargs, "dtype": check_dtype(dtype)}
    embedded = registry.models.get(str(name_or_path))
    if embedded is not None:
        pipe = embedded.load()
        return _placed(pipe, place, kwargs.get("dtype")), embedded.checkpoint
    entry, pipeline = _find(str(name_or_path), registry, kwargs)
    try:
        pipe = entry.load().load(pipeline, str(name_or_path), **kwargs)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"{name_or_path} cannot be loaded: {error}") from error
    return _placed(pipe, place), None


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
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if found is None or found not in DTYPES.values():
        names = [name for name in DTYPES if "float" in name]
        raise ModelError(
            f"dtype must be one of {listed(names)}; got {dtype!r}."
            f"{did_you_mean(str(dtype), DTYPES)}"
        )
    return found


def _find(name: str, registry: Registry, kwargs: dict[str, Any]) -> tuple[FamilyEntry, Any]:
    """The class named in the index selects among the registered ones; it never imports code."""
    index = _read_index(name, registry, kwargs)
    class_name = index.get("_class_name") if isinstance(index, dict) else None
    for entry in registry.families.values():
        if class_name in entry.pipelines:
            return entry, getattr(diffusers, class_name)
    raise ModelError(f"{name} is a {class_name}: {registry.no_family()}")


def _read_index(name: str, registry: Registry, kwargs: dict[str, Any]) -> Any:
    folder = Path(name)
    if name and folder.is_dir():
        path = folder / INDEX
        if not path.is_file():
            raise ModelError(f"{folder} has no {INDEX}, so it is not a diffusers pipeline's folder")
    else:
        path = _download_index(name, registry, kwargs)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON: {error}") from error


def _download_index(name: str, registry: Registry, kwargs: dict[str, Any]) -> Path:
    if "/" not in name:  # the Hub has no such repositories; asking it would hide a typing error
        raise _no_model(name, registry)
    options = {key: value for key, value in kwargs.items() if key in _HUB_OPTIONS}
    try:
        return Path(hf_hub_download(name, INDEX, **options))
    except HFValidationError as error:
        raise _no_model(name, registry) from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name} is not on this machine and the Hugging Face Hub cannot be reached. Where there"
            f" is a network, run: hf download {name}"
        ) from error
    except HfHubHTTPError as error:
        raise ModelError(f"the Hugging Face Hub does not give {name}: {error}") from error


def _no_model(name: str, registry: Registry) -> ModelError:
    known = sorted(registry.models)
    return ModelError(
        f"there is no model {name!r}: no folder, no embedded model, and no repository's name"
        f" (owner/name).{did_you_mean(name, known)} Embedded: {listed(known)}.{registry.absent()}"
    )
