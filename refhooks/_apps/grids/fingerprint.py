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

from refhooks._apps.grids.checksums import checksum
from refhooks._base.pictures import load_picture
from refhooks._core.planning.strategy import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

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
            digest.update(repr([component, label, *_adapters(part)]).encode())
            buffers = part.named_buffers(recurse=False)
            for own, weight in [*part.named_parameters(recurse=False), *buffers]:
                digest.update(f"{own} {list(weight.shape)} {weight.dtype}".encode())
                for sums in _sums(weight, part, own):
                    digest.update(sums)
    return digest.hexdigest()


def _told(setting: Any) -> Any:
    """Of files that a checkpoint brings along, what is in them."""
    if isinstance(setting, Mapping):
        return {name: _file(value) for name, value in sorted(setting.items())}
    return setting


def _adapters(module: Any) -> list[Any]:
    """What peft keeps of a layer's LoRAs beside their weights."""
    scaling = getattr(module, "scaling", None)
    if not isinstance(scaling, dict):
        return []
    acting = [getattr(module, name, None) for name in ("active_adapters", "disable_adapters")]
    return [sorted(scaling.items()), *acting]


def _sums(weight: Any, part: Any, name: str) -> Iterator[bytes]:
    """The checksums of a weight, of all tensors that a quantised one consists of."""
    if weight.is_meta:
        weight = _offloaded(part, name)
    if hasattr(weight, "as_tensor"):  # of a GGUF, the bytes
        weight = weight.as_tensor()
    if hasattr(weight, "__tensor_flatten__"):
        yield type(weight).__qualname__.encode()
        for inner in weight.__tensor_flatten__()[0]:
            yield from _sums(getattr(weight, inner), part, name)
    elif weight is None or type(weight.data) is not torch.Tensor or weight.is_meta:
        yield secrets.token_bytes()
    else:
        yield checksum(weight.detach())


def _offloaded(part: Any, name: str) -> Any:
    """Where accelerate keeps a weight while its module does not run; ``None``: nowhere."""
    hook = getattr(part, "_hf_hook", None)
    for each in getattr(hook, "hooks", (hook,)):
        weights = getattr(each, "weights_map", None)
        if weights is not None and name in weights:
            return weights[name]
    return None


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
