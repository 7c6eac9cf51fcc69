"""The parts of a recipe."""

from __future__ import annotations

import re
from typing import Any

import attrs

from refhooks._base.shown import shown

_HASH = re.compile(r"[0-9a-f]{64}")


def _is_hash(_: object, field: attrs.Attribute[Any], value: str) -> None:
    if not _HASH.fullmatch(value):
        raise ValueError(f"{field.name} must be 64 hexadecimal digits, got {shown(value)}")


def is_name(value: str) -> bool:
    """Return whether a text is the name of a file, without any folder, that can be printed."""
    return (
        value.isprintable()
        and 0 < len(value.encode("utf-8", "replace")) <= 255
        and not set(value) & set('/\\:*?"<>|')
        and not value.startswith(".")
    )


def _is_name(_: object, field: attrs.Attribute[Any], value: str) -> None:
    if value and not is_name(value):
        raise ValueError(f"{field.name} must be a file's name without a folder, got {shown(value)}")


@attrs.frozen
class RecipePicture:
    """A picture that an edit was given.

    Attributes:
        sha256: Of its pixels: ``RGB WIDTHxHEIGHT`` and a line break, then the bytes, row by row.
        name: Of its file, without its folder; empty for a picture in memory.
        handed: Whether an edit before made it, in a chain.
    """

    sha256: str = attrs.field(validator=_is_hash)
    name: str = attrs.field(default="", validator=_is_name)
    handed: bool = False


@attrs.frozen
class RecipeReference:
    """A reference of the edit.

    Attributes:
        picture: Its picture.
        strategy: As a strategy file holds it; files of it are named by their hashes.
        resolution: As it was given.
    """

    picture: RecipePicture
    strategy: dict[str, Any]
    resolution: Any = None


@attrs.frozen
class RecipeFile:
    """A file that a mask, a method or a plugin was given.

    Attributes:
        sha256: Of the pixels of a picture (``RGBA``, otherwise as for references), or of the bytes.
        name: Of the file, without its folder; empty for a picture in memory.
        picture: Whether it is a picture.
    """

    sha256: str = attrs.field(validator=_is_hash)
    name: str = attrs.field(default="", validator=_is_name)
    picture: bool = True


@attrs.frozen
class RecipeModel:
    """The model of the edit.

    Attributes:
        name: The repository, the embedded model, or the last part of a folder's path.
        family: Of the adapter.
        pipeline: Class of the pipeline.
        revision: Commit of the repository, where the files tell it.
        dtype: Of the transformer.
        device: Where it ran.
        threads: Of the processor; 0 on another device.
        extras: What was added to it, such as LoRAs by their names.
    """

    name: str = ""
    family: str = ""
    pipeline: str = ""
    revision: str = ""
    dtype: str = ""
    device: str = ""
    threads: int = 0
    extras: tuple[str, ...] = ()
