"""Loading a model from a folder or the Hugging Face Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import diffusers
import torch
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError

from refhooks._base.files import is_file, is_folder
from refhooks._base.forks import settle
from refhooks._base.names import did_you_mean, listed
from refhooks._base.shown import shown
from refhooks._parts.checkpoint_files import DTYPES, HUB_OPTIONS, file_dtype, of_hub, read_json
from refhooks.errors import ModelError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from refhooks._core.contract.checkpoint import Checkpoint
    from refhooks._core.contract.entries import EmbeddedModel, FamilyEntry
    from refhooks._core.contract.family import Family
    from refhooks._core.plugins.registry import Registry

INDEX = "model_index.json"
MODULAR_INDEX = "modular_model_index.json"


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

    def read() -> Any:
        if pipeline.__name__ in entry.modular:
            from refhooks._parts.modular_loading import ModularFiles  # noqa: PLC0415  imports transformers

            files = ModularFiles(name, index, pipeline, entry, kwargs)
            modular = files.load(place, transformer, weights=weights)
            return _placed(modular, place if weights else None)
        return _load(
            name, index, entry.load(), pipeline, kwargs, place, transformer, weights=weights
        )

    return _refusing(name, place, read), None


def _load(
    name: str,
    index: dict[str, Any],
    family: type[Family],
    pipeline: Any,
    kwargs: dict[str, Any],
    place: torch.device | None,
    transformer: str | Path | None,
    *,
    weights: bool,
) -> Any:
    """Load a stock pipeline."""
    if not {"dtype", "torch_dtype"} & kwargs.keys():
        kwargs = {**kwargs, "dtype": file_dtype(name, index, kwargs)}
    if not weights:
        kwargs, place = _without_weights(name, index, kwargs), None
    if transformer is not None:
        from refhooks._base.weight_files.transformer import with_transformer  # noqa: PLC0415  imports accelerate

        kwargs = with_transformer(transformer, name, index, kwargs, place, of_hub(kwargs))
    return _placed(family.load(pipeline, name, **kwargs), place)


def _refusing(name: str, place: torch.device | None, read: Callable[[], Any]) -> Any:
    """Load a pipeline; what cannot be read, or does not fit, is told in a sentence."""
    try:
        return read()
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{name} does not fit into the memory of {place or 'the device'}; load it"
            " without a device and offload it (pipe.enable_model_cpu_offload(), --offload model or"
            " group), or quantise it (quantization_config, --quantize int8)"
        ) from error
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{name} cannot be loaded: {error}") from error


def _without_weights(name: str, index: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What diffusers is given to load a pipeline with models that hold nothing."""
    from refhooks._parts.empty_weights import weightless_modules  # noqa: PLC0415  imports transformers

    unused = sorted(kwargs.keys() - {*HUB_OPTIONS, "dtype", "torch_dtype"})
    if unused:
        raise ModelError(f"without weights a model takes no {listed(unused)}")
    options = of_hub(kwargs)
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
        if class_name in (*entry.pipelines, *entry.modular):
            return entry, getattr(diffusers, str(class_name))
    raise ModelError(f"{name} is a {class_name}: {registry.no_family(class_name)}")


def _read_index(name: str, registry: Registry, kwargs: dict[str, Any]) -> Any:
    if name and is_folder(name):
        index = _index_of(name, registry, kwargs)
        if index is None:
            raise ModelError(
                f"{name} has no {INDEX} and no {MODULAR_INDEX}, so it is not a diffusers pipeline's"
                " folder"
            )
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
        return _index_of(name, registry, kwargs)
    except HFValidationError as error:
        raise _no_model(name, registry) from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"{name} is not on this machine and the Hugging Face Hub cannot be reached. Where there"
            f" is a network, run: hf download {name}"
        ) from error
    except HfHubHTTPError as error:
        raise ModelError(f"the Hugging Face Hub does not give {name}: {error}") from error


def _index_of(name: str, registry: Registry, kwargs: dict[str, Any]) -> Any:
    """The index of the pipeline; the modular one where the other is missing or nobody adapts it."""
    absent = None
    try:
        index = read_json(name, INDEX, kwargs)
    except LocalEntryNotFoundError as error:  # the Hub cannot be asked whether there is one
        index, absent = None, error
    adapted = [cls for entry in registry.families.values() for cls in entry.pipelines]
    if isinstance(index, dict) and index.get("_class_name") in adapted:
        return index
    try:
        modular = read_json(name, MODULAR_INDEX, kwargs)
    except LocalEntryNotFoundError:
        modular = None
    if modular is None and absent is not None:
        raise absent
    return index if modular is None else modular


def _no_model(name: str, registry: Registry) -> ModelError:
    known = sorted(registry.models)
    return ModelError(
        f"there is no model {name!r}: no folder, no embedded model, and no repository's name"
        f" (owner/name).{did_you_mean(name, known)} Embedded: {listed(known)}.{registry.absent()}"
    )
