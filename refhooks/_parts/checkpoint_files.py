"""The small files of a checkpoint, in a folder or on the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from refhooks._base.files import is_file, is_folder
from refhooks.errors import ModelError

__all__ = ["DTYPES", "HUB_OPTIONS", "file_dtype", "of_hub", "read_json"]

DTYPES = {
    "float32": torch.float32, "fp32": torch.float32,
    "float16": torch.float16, "fp16": torch.float16,
    "bfloat16": torch.bfloat16, "bf16": torch.bfloat16,
}  # fmt: skip
HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "token")


def file_dtype(name: str, index: dict[str, Any], kwargs: dict[str, Any]) -> torch.dtype:
    """The dtype in which the text encoder's files were written.

    Left to themselves, transformers keeps that of the files and diffusers takes float32; a pipeline
    of both would not run.
    """
    for part, source in index.items():
        if isinstance(source, list) and source[:1] == ["transformers"]:
            config = read_json(name, f"{part}/config.json", kwargs)
            dtype_name = config.get("dtype", config.get("torch_dtype")) if config else None
            if dtype_name in DTYPES:
                return DTYPES[dtype_name]
    return torch.float32


def read_json(name: str, place: str, kwargs: dict[str, Any]) -> Any:
    """Return a JSON file of a folder or repository; ``None`` if there is none."""
    if is_folder(name):
        path = Path(name) / place
        if not is_file(path):
            return None
    else:
        options = of_hub(kwargs)
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


def of_hub(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that say where and how the Hub is asked."""
    return {key: value for key, value in kwargs.items() if key in HUB_OPTIONS}
