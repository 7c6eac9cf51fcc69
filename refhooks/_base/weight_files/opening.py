"""Opening a single file of weights; what is none is refused by what it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, Literal

from refhooks._base.weight_files.entries import DTYPES, WeightFile
from refhooks._base.weight_files.gguf_header import MAGIC, read_gguf_header
from refhooks._base.weight_files.safetensors_header import read_safetensors_header
from refhooks.errors import ModelError

__all__ = ["SUFFIXES", "open_weights"]

SUFFIXES = (".safetensors", ".sft", ".gguf")
_PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle")
_PART = re.compile(r"-0*(\d+)-of-0*(\d+)$")
_PICKLE = "a pickle, which can run code when it is read; only safetensors and GGUF are"
_FOREIGN = {
    b"version https://git-lfs": "a pointer of git-lfs, not the file itself; run: git lfs pull",
    b"<!doctype": "a web page, not the file itself; download it again",
    b"<html": "a web page, not the file itself; download it again",
    b"pk\x03\x04": _PICKLE,
    b"\x80": _PICKLE,
}


def open_weights(path: str | Path) -> WeightFile:
    """Return what a file says that it holds; no weight is read.

    Args:
        path: A ``.safetensors`` or ``.gguf`` file.

    Raises:
        ModelError: There is none, it is a folder, one part of several, a pickle, damaged, or GGUF
            without the package gguf; the message names the file.
    """
    place = Path(path)
    try:
        _check_name(place)
        with place.open("rb") as file:
            return _read(file, place)
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{place}: a GGUF file needs the package gguf; install it with:"
            ' pip install "refhooks[gguf]"'
        ) from error
    except (OSError, ValueError) as error:  # such as a name with a zero byte
        raise ModelError(f"{place}: cannot be read: {error}") from error


def _check_name(path: Path) -> None:
    if path.is_dir():
        raise ModelError(
            f"{path}: a folder, where one file is expected; a whole model's folder is given as the"
            " model itself (--model)"
        )
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise ModelError(
            f"{path}: only {' and '.join(SUFFIXES[::2])} files are read; {suffix} can run code when"
            " it is read"
        )
    if path.name.lower().endswith(".index.json"):
        raise ModelError(f"{path}: the index of several files; {_WHOLE}")
    if suffix not in SUFFIXES:
        raise ModelError(f"{path}: only {' and '.join(SUFFIXES[::2])} files are read")
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file")
    part = _PART.search(path.stem)
    if part is not None and int(part[2]) > 1:
        raise ModelError(f"{path}: part {part[1]} of {part[2]}, not a whole file; {_WHOLE}")


_WHOLE = "join them into one, or give the folder of the whole model as the model itself (--model)"


def _read(file: BinaryIO, path: Path) -> WeightFile:
    stamp = path.stat()
    head = file.read(32)
    file.seek(0)
    if head[8:9] != b"{":  # a safetensors header, whose length may look like anything
        for start, what in _FOREIGN.items():
            if head.lower().startswith(start):
                raise ModelError(f"{path}: {what}")
    form: Literal["safetensors", "gguf"] = "gguf" if head.startswith(MAGIC) else "safetensors"
    if form == "gguf":
        entries, texts = read_gguf_header(file, stamp.st_size, path)
    else:
        entries, notes = read_safetensors_header(file, stamp.st_size, path)
        texts = {key: str(text) for key, text in notes.items()}
        for entry in entries.values():
            if entry.kind not in DTYPES:
                raise ModelError(f"{path}: {entry.name!r:.120} is {entry.kind}, which is not read")
    return WeightFile(path, form, entries, texts, (stamp.st_size, stamp.st_mtime_ns))
