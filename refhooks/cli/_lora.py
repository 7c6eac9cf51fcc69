"""LoRA files: checked before the model loads, then added to it."""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING, Any

import attrs
from safetensors import SafetensorError, safe_open

from refhooks._apps.editing.distilled import note_lora
from refhooks._base.files import is_file
from refhooks.cli._libraries import logged_as_warnings
from refhooks.cli._parse import parse_lora
from refhooks.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_TENSORS = 20_000  # a LoRA on every layer of a 20 B model has about 3,000


@attrs.frozen
class Lora:
    """A LoRA file with its scale; 1 is as it was trained."""

    path: Path
    scale: float
    metadata: dict[str, str] = attrs.field(factory=dict, eq=False)


def check_loras(texts: Sequence[str]) -> tuple[Lora, ...]:
    """Return the LoRAs that ``--lora`` names.

    Raises:
        InputError: A file is missing or is no safetensors file, or a scale is no number.
        ModelError: The package that LoRAs need is not installed.
    """
    named = [parse_lora(text) for text in texts]
    loras = tuple(Lora(path, scale, _check_file(path)) for path, scale in named)
    if loras and importlib.util.find_spec("peft") is None:
        raise ModelError(
            '--lora needs the package peft; install it with: pip install "refhooks[lora]"'
        )
    return loras


def _check_file(path: Path) -> dict[str, str]:
    """What a file says of itself, once it is one that can be read."""
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"--lora {path}: only .safetensors files are read, others can run code")
    if not is_file(path):
        raise InputError(f"--lora {path}: there is no such file")
    try:
        with safe_open(path, framework="numpy") as opened:
            count, metadata = len(opened.keys()), dict(opened.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise InputError(f"--lora {path}: not a safetensors file: {error}") from error
    if not 0 < count <= MAX_TENSORS:
        raise InputError(f"--lora {path}: holds {count} tensors; expected 1 to {MAX_TENSORS}")
    return metadata


def add_loras(pipe: Any, loras: Sequence[Lora]) -> None:
    """Load LoRAs into a pipeline, each with its scale.

    Raises:
        ModelError: The pipeline takes none, or nothing of a file fits it.
    """
    if not loras:
        return
    model = type(pipe).__name__
    if not hasattr(pipe, "load_lora_weights"):
        raise ModelError(f"{model} takes no LoRA; leave --lora out")
    names = [f"lora{number}" for number in range(1, len(loras) + 1)]
    for name, lora in zip(names, loras, strict=True):
        _add(pipe, name, lora.path)
        if name not in {
            entry for adapters in pipe.get_list_adapters().values() for entry in adapters
        }:
            raise ModelError(f"--lora {lora.path}: nothing in it fits {model}")
        note_lora(pipe.transformer, name, lora.path.name, lora.metadata)
    pipe.set_adapters(names, adapter_weights=[lora.scale for lora in loras])


def _add(pipe: Any, name: str, path: Path) -> None:
    try:
        with logged_as_warnings(), warnings.catch_warnings():
            # peft says so of every LoRA after the first; several are meant here.
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")
            pipe.load_lora_weights(
                str(path.parent),
                weight_name=path.name,
                adapter_name=name,
                use_safetensors=True,
                local_files_only=True,
            )
    except (ValueError, RuntimeError, LookupError, OSError) as error:
        raise ModelError(f"--lora {path} does not fit {type(pipe).__name__}: {error}") from error
