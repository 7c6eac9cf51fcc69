"""What a job is, as a digest: its fields, what is in its files, and the model; nothing else.

Versions, the machine and the places of files do not count, so that another machine, or the same one
after an upgrade, goes on with what is there.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Final

import attrs
import torch
from PIL import Image

from refhooks._apps.grids.fingerprint import described, key
from refhooks._apps.recipes.provenance import model_of
from refhooks._base.files import file_hash
from refhooks._base.pictures import load_picture
from refhooks.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from refhooks._core.models.loaded import LoadedModel
    from refhooks.batch._entry import Entry

__all__ = ["ModelFacts", "digest_of", "facts_of", "shape_of"]

_SAMPLES: Final = 256  # values of each weight that are looked at
_MACHINE: Final = ("device", "threads", "attention")
_ROOM: Final = 8 * 2**30  # bytes, where the device does not say how much it has


@attrs.frozen
class ModelFacts:
    """What is to be known of a model to tell what its jobs are, and which run together.

    Attributes:
        identity: Which one it is, on whatever machine.
        native: Its own method.
        area: Of a square output, in pixels, where a job says no size.
        room: Bytes of its device beside the weights.
    """

    identity: str
    native: str
    area: int
    room: int


def facts_of(editor: LoadedModel) -> ModelFacts:
    """Return those of a loaded model.

    Of its weights, some values of each are looked at: another checkpoint under the same name has
    others, while reading all of a large one would take longer than an edit.
    """
    recipe = attrs.asdict(model_of(editor))
    told = {name: value for name, value in recipe.items() if name not in _MACHINE}
    digest = hashlib.sha256(repr(sorted(told.items())).encode())
    size, device = 0, None
    for name, module in sorted(editor.pipe.components.items()):
        if not isinstance(module, torch.nn.Module):
            continue
        digest.update(name.encode())
        for weight in module.parameters():
            size += weight.nbytes
            device = weight.device if weight.device.type == "cuda" else device
            digest.update(_sample(weight))
    room = _ROOM
    if device is not None:
        room = max(torch.cuda.get_device_properties(device).total_memory - size, 0)
    area = math.prod(attrs.astuple(editor.family.output_size(_square(), None, None, None)))
    return ModelFacts(digest.hexdigest(), editor.family.native, area, room)


def _square() -> Image.Image:
    return Image.new("1", (512, 512))


def _sample(weight: torch.Tensor) -> bytes:
    """Some values of a weight; of one that is quantised, or elsewhere, its shape."""
    told = f"{tuple(weight.shape)} {weight.dtype}".encode()
    plain = type(weight.data) is torch.Tensor and not weight.is_meta
    if not plain or not weight.is_floating_point() or weight.element_size() < 2:
        return told
    flat = weight.detach().reshape(-1)
    some = flat[:: max(1, flat.numel() // _SAMPLES)].contiguous().cpu()
    return told + some.view(torch.uint8).numpy().tobytes()


def digest_of(entry: Entry, facts: ModelFacts, arguments: dict[str, Any]) -> str:
    """Return the digest of a job, 20 hexadecimal digits.

    Args:
        entry: The job.
        facts: Of the model.
        arguments: Of ``make_request`` for it.

    Raises:
        InputError: A picture cannot be read.
    """
    contents = [_content(picture) for picture in entry.pictures]
    others = [
        (content, reference.strategy, reference.resolution)
        for content, reference in zip(contents[1:], arguments["references"], strict=True)
    ]
    told = {name: value for name, value in arguments.items() if name not in _PICTURES}
    return key(facts.identity, {**told, "source": contents[0], "others": others})


def shape_of(sizes: tuple[tuple[int, int], ...], arguments: dict[str, Any]) -> str:
    """Return what jobs must have alike to run in one pass: all but pixels, prompts and seeds."""
    told = {name: described(it) for name, it in sorted(arguments.items()) if name not in _OWN}
    others = [
        described((reference.strategy, reference.resolution))
        for reference in arguments["references"]
    ]
    return hashlib.sha256(repr((sizes, told, others)).encode()).hexdigest()


_PICTURES: Final = ("image", "references")
_OWN: Final = (*_PICTURES, "prompt", "negative_prompt", "seed")


def _content(picture: Path) -> str:
    try:
        return file_hash(picture)
    except (OSError, ValueError) as error:
        load_picture(picture)  # which says what it is
        raise InputError(f"{picture} cannot be read: {error}") from error
