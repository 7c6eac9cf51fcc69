"""What a safetensors file says of itself, checked before any of its tensors is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from refhooks._base.files import is_file, is_folder
from refhooks._base.shown import shown
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refhooks._base.weight_files.entries import Entry

MAX_TENSORS = 20_000  # a LoRA on every layer of a 20 B model has about 3,000
MAX_BYTES = 2**34
MAX_SIDE_FILE = 2**20
SIDE_FILE = "adapter_config.json"


@attrs.frozen
class Header:
    """What a file says of itself.

    Attributes:
        path: Of the file.
        label: How messages name it.
        entries: Its tensors by key.
        notes: Its metadata, and the text of peft's ``adapter_config.json`` beside it.
        stamp: Size and time of the file when it was read.
    """

    path: Path
    label: str
    entries: Mapping[str, Entry]
    notes: Mapping[str, str]
    stamp: tuple[int, int]


def read_header(path: str | Path, label: str | None = None) -> Header:
    """Return what a file says of itself.

    Args:
        path: Of a ``.safetensors`` file.
        label: How messages name it; by default as a LoRA.

    Raises:
        InputError: There is no such file, it is none of safetensors, is cut off, or beyond the
            caps of 2^34 bytes, 20,000 tensors and a header of 2^25 bytes.
    """
    from refhooks._base.weight_files.safetensors_header import (  # noqa: PLC0415  loads torch
        read_safetensors_header,
    )

    if not isinstance(path, str | Path):
        raise InputError(f"a LoRA is the path of a .safetensors file; got {shown(path)}")
    place, label = Path(path), label or f"LoRA {path}"
    if is_folder(place):
        raise InputError(f"{label} is a folder; give a .safetensors file")
    if place.suffix.lower() != ".safetensors":
        raise InputError(f"{label}: only .safetensors files are read, others can run code")
    if not is_file(place):
        raise InputError(f"{label}: there is no such file")
    try:
        with place.open("rb") as opened:
            stamp = stamp_of(place)
            if stamp[0] > MAX_BYTES:
                most = MAX_BYTES // 2**30
                raise InputError(f"{label} is larger than {most} GiB, so it is no LoRA")
            entries, metadata = read_safetensors_header(
                opened, stamp[0], label, refusal=InputError, most=MAX_TENSORS
            )
    except OSError as error:
        raise InputError(f"{label} cannot be read: {error}") from error
    notes = {key: text for key, text in metadata.items() if isinstance(text, str)}
    return Header(place, label, entries, notes | _side_file(place), stamp)


def stamp_of(path: Path) -> tuple[int, int]:
    """Return the size of a file, bytes, and when it was changed, nanoseconds."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _side_file(path: Path) -> dict[str, str]:
    """Where peft keeps alpha: beside the file, under one name."""
    beside = path.with_name(SIDE_FILE)
    try:
        if path.name.startswith("adapter_model") and beside.stat().st_size <= MAX_SIDE_FILE:
            return {SIDE_FILE: beside.read_text(encoding="utf-8")}
    except (OSError, ValueError):
        pass
    return {}
