"""Which model the weights of a workflow belong to: known by the name of their file, or not at all.

The repository that a command names is of this table, never of the workflow.
"""

from __future__ import annotations

import re

import attrs

__all__ = ["CHECKPOINTS", "ENCODERS", "UNKNOWN", "Checkpoint", "checkpoint_of", "is_other"]


@attrs.frozen
class Checkpoint:
    """A model that refhooks has a family for.

    Attributes:
        name: As people call it.
        pattern: Of its file's name, in small letters with hyphens.
        repository: Where it is loaded from; empty: it is not known here.
        guidance: ``true`` (a second pass), ``embedded``, ``none``, or ``unknown``.
        pictures: References it takes at most.
        vision: Whether its text encoder sees the pictures.
        zero: Whether it was trained with references modulated at time 0.
        qwen: Whether its positions are those of Qwen-Image-Edit.
        own_steps: Whether it prescribes its noise levels, and with them the steps.
    """

    name: str
    pattern: str = ""
    repository: str = ""
    guidance: str = "true"
    pictures: int = 10
    vision: bool = False
    zero: bool = False
    qwen: bool = False
    own_steps: bool = False


UNKNOWN = Checkpoint("a model that is not known by its file's name", guidance="unknown")
KLEIN = "black-forest-labs/FLUX.2-klein"
CHECKPOINTS = (
    Checkpoint("Qwen-Image 2.1 turbo", "qwen-image-2-1.*turbo", vision=True, own_steps=True),
    Checkpoint("Qwen-Image 2.1", "qwen-image-2-1", "Qwen/Qwen-Image-2.1", vision=True),
    Checkpoint(
        "Qwen-Image-Edit-2511", "qwen-image-edit-2511", "Qwen/Qwen-Image-Edit-2511",
        pictures=3, vision=True, zero=True, qwen=True,
    ),
    Checkpoint(
        "Qwen-Image-Edit-2509", "qwen-image-edit-2509", "Qwen/Qwen-Image-Edit-2509",
        pictures=3, vision=True, qwen=True,
    ),
    Checkpoint("FireRed-Image-Edit", "firered-image-edit", pictures=3, vision=True, qwen=True),
    Checkpoint(
        "Qwen-Image-Edit", "qwen-image-edit(?!-[a-z]*2[0-9]{3})", "Qwen/Qwen-Image-Edit",
        pictures=1, vision=True, qwen=True,
    ),
    Checkpoint("FLUX.2 dev", "flux-?2-dev", "black-forest-labs/FLUX.2-dev", "embedded"),
    Checkpoint(
        "FLUX.2 klein 9B KV", "flux-?2-klein-9b-kv", "black-forest-labs/FLUX.2-klein-9b-kv", "none"
    ),
    Checkpoint("FLUX.2 klein base 4B", "flux-?2-klein-base-4b", f"{KLEIN}-base-4B"),
    Checkpoint("FLUX.2 klein base 9B", "flux-?2-klein-base-9b", f"{KLEIN}-base-9B"),
    Checkpoint("FLUX.2 klein 4B", "flux-?2-klein-4b", f"{KLEIN}-4B", "none"),
    Checkpoint("FLUX.2 klein 9B", "flux-?2-klein-9b", f"{KLEIN}-9B", "none"),
    Checkpoint(
        "FLUX.3 klein base", "flux-?3-image-klein-base",
        "black-forest-labs/flux-3-image-klein-base",
    ),
    Checkpoint(
        "FLUX.3 klein", "flux-?3-image-klein", "black-forest-labs/flux-3-image-klein", "none"
    ),
    Checkpoint(
        "FLUX.1 Kontext dev", "flux-?1.*kontext", "black-forest-labs/FLUX.1-Kontext-dev",
        "embedded", pictures=1,
    ),
    Checkpoint(
        "LongCat-Image-Edit", "longcat-image-edit", "meituan-longcat/LongCat-Image-Edit",
        pictures=1, vision=True,
    ),
)  # fmt: skip
# What the loader of the text encoder calls models that refhooks has a family for.
ENCODERS = ("qwen_image", "flux", "flux2", "flux3", "longcat_image")
# Models of others that use one of these encoders, and models that make pictures and edit none.
OTHERS = (
    "^qwen-image-(layered|2512|fp8|bf16|int8)|^qwen-image-safetensors|ming-image"
    "|flux-?1-(dev|schnell|krea|fill|canny|depth)|z-image|^longcat-image-(?!edit)"
)


def checkpoint_of(file: str) -> Checkpoint:
    """Return the model that a file of weights belongs to, by its name; ``UNKNOWN``."""
    name = _plain(file)
    for checkpoint in CHECKPOINTS:
        if re.search(checkpoint.pattern, name):
            return checkpoint
    return UNKNOWN


def is_other(file: str) -> bool:
    """Return whether a file of weights is, by its name, of a model that has no family here."""
    return checkpoint_of(file) is UNKNOWN and re.search(OTHERS, _plain(file)) is not None


def _plain(file: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", re.split(r"[/\\]", file)[-1].lower())
