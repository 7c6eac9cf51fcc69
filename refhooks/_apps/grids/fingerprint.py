"""What a cell of a grid depends on, as a key."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import secrets
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from PIL import Image

from refhooks._base.checksums import checksum
from refhooks._base.pictures import load_picture
from refhooks._base.weight_state import adapters, plain_tensors
from refhooks._core.planning.strategy import Reference

if TYPE_CHECKING:
    from refhooks._core.models.loaded import LoadedModel


KEY_LENGTH = 20  # hexadecimal digits: by chance, no two of any number of cells are the same


def key(model: str, arguments: dict[str, Any]) -> str:
    """Return what depends on every input of an edit: model, pictures, strategies, numbers."""
    told = [model, {name: described(value, name) for name, value in sorted(arguments.items())}]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:KEY_LENGTH]


def fingerprint(editor: LoadedModel, name: str) -> str:
    """Return what depends on a model and on the code that runs it.

    Every value of every weight and buffer counts, so another checkpoint, LoRA or precision is
    another model, and so is one in which a single number differs. A model whose weights cannot be
    looked at is another one each time.

    Args:
        editor: The model.
        name: How it was named.
    """
    digest = hashlib.sha256()
    prescribed = attrs.asdict(editor.checkpoint, recurse=False)
    parts = [
        name,
        version("refhooks"),
        editor.family.name,
        str(editor.pipe.device),
        {field: _told(setting) for field, setting in prescribed.items() if not callable(setting)},
        sorted(map(repr, editor.pipe.scheduler.config.items())),
        [(record.name, record.version) for record in editor.registry.records],
    ]
    digest.update(repr(parts).encode())
    for component in sorted(editor.pipe.components):
        module = editor.pipe.components[component]
        if not isinstance(module, torch.nn.Module):
            continue
        for label, part in module.named_modules():
            digest.update(repr([component, label, *adapters(part)]).encode())
            buffers = part.named_buffers(recurse=False)
            for own, weight in [*part.named_parameters(recurse=False), *buffers]:
                digest.update(f"{own} {list(weight.shape)} {weight.dtype}".encode())
                for kind, plain in plain_tensors(weight, part, own):
                    digest.update(kind.encode())
                    digest.update(secrets.token_bytes() if plain is None else checksum(plain))
    return digest.hexdigest()


def _told(setting: Any) -> Any:
    """Of files that a checkpoint brings along, what is in them."""
    if isinstance(setting, Mapping):
        return {name: _file(value) for name, value in sorted(setting.items())}
    return setting


def described(value: Any, name: str = "") -> Any:
    """A value as what has a ``repr`` that says all of it; a picture as a hash of its pixels."""
    if isinstance(value, Reference) or name == "image":
        image = value.image if isinstance(value, Reference) else value
        rest = [value.strategy, value.resolution] if isinstance(value, Reference) else []
        return ["picture", _pixels(image), described(rest)]
    if isinstance(value, torch.Tensor | np.ndarray | Image.Image):
        array = np.asarray(value)
        return [str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, list | tuple):
        return [described(entry) for entry in value]
    if not attrs.has(type(value)):
        return repr(value)
    files = getattr(value, "files", ())
    names = [field.name for field in attrs.fields(type(value)) if field.init]
    parts = [(entry, getattr(value, entry)) for entry in names]
    told = [(entry, _file(part) if entry in files else described(part)) for entry, part in parts]
    return [type(value).__qualname__, told]


def _pixels(image: Any) -> str:
    if not isinstance(image, str | Path):
        return _hashed(load_picture(image))
    state = Path(image).stat()
    return _pixels_of(str(image), state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _pixels_of(path: str, size: int, changed: int) -> str:
    """Read once for all cells; who changes the file between two grids is noticed."""
    del size, changed
    return _hashed(load_picture(path))


def _hashed(picture: Image.Image) -> str:
    return f"{picture.size} {hashlib.sha256(picture.tobytes()).hexdigest()}"


def _file(value: Any) -> Any:
    with contextlib.suppress(OSError, TypeError, ValueError):  # the edit will say what is wrong
        return hashlib.sha256(Path(value).read_bytes()).hexdigest()
    return described(value)
