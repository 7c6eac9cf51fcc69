"""The parts of a recipe."""

from __future__ import annotations

import re
from typing import Any

import attrs

from refhooks._base.shown import shown

MAX_LORAS = 256
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
    """A file that a mask, a method, a plugin or the model was given.

    Attributes:
        sha256: Of the pixels of a picture (``RGBA``, otherwise as for references), or of the bytes.
        name: Of the file, without its folder; empty for a picture in memory.
        picture: Whether it is a picture.
    """

    sha256: str = attrs.field(validator=_is_hash)
    name: str = attrs.field(default="", validator=_is_name)
    picture: bool = True


def _few(_: object, field: attrs.Attribute[Any], value: tuple[Any, ...] | None) -> None:
    if value is not None and len(value) > MAX_LORAS:
        raise ValueError(f"{field.name} must be at most {MAX_LORAS}, got {len(value)}")


def _is_hash_or_empty(_: object, field: attrs.Attribute[Any], value: str) -> None:
    if value:
        _is_hash(_, field, value)


def _is_scale(_: object, field: attrs.Attribute[Any], value: Any) -> None:
    pairs = value if isinstance(value, list) else [[value, 1]]
    if not all(
        isinstance(pair, list) and len(pair) == 2 and all(type(it) in {int, float} for it in pair)
        for pair in pairs
    ):
        raise ValueError(
            f"{field.name} must be a number, or a list of [number, layers], got {value!r:.80}"
        )


@attrs.frozen
class RecipeLora:
    """A LoRA that was on the transformer.

    Attributes:
        name: Of the adapter.
        file: Name of its file, without its folder; empty where it is not known.
        sha256: Of the file's bytes; empty likewise.
        weights: Hash of its weights as they were loaded: names, shapes, dtypes and bytes; empty
            where they were not in memory.
        scale: As ``set_adapters`` was told; where it differs by layer, ``[scale, layers]`` for each
            row of layers in their order.
        active: Whether it was set, and not disabled.
        fused: Whether it was merged into the weights.
    """

    name: str
    file: str = attrs.field(default="", validator=_is_name)
    sha256: str = attrs.field(default="", validator=_is_hash_or_empty)
    weights: str = attrs.field(default="", validator=_is_hash_or_empty)
    scale: Any = attrs.field(default=1.0, validator=_is_scale)
    active: bool = False
    fused: bool = False

    @property
    def acts(self) -> bool:
        """Whether the picture depends on it."""
        return self.active or self.fused

    @property
    def told(self) -> str:
        """How messages tell which one it was."""
        known = f", of the file {self.file}" if self.file else ""
        return f" at {self.scale!s:.80}{known}"

    def changes(self, other: RecipeLora) -> list[str]:
        """Return how another one of this name differs."""
        lines = []
        pairs = [(self.weights, other.weights), (self.sha256, other.sha256)]
        known = [pair for pair in pairs if all(pair)]
        if known and known[0][0] != known[0][1]:
            lines.append("its weights are others than they were")
        if self.scale != other.scale:
            lines.append(f"its scale was {self.scale!s:.80}, and is {other.scale!s:.80}")
        if self.fused != other.fused:
            said = ["not fused", "fused"]
            lines.append(f"it was {said[self.fused]}, and is {said[other.fused]}")
        return lines


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
        loras: The LoRAs on the transformer; ``None`` in a recipe of an earlier form.
        scheduler: Its class, and the settings that are not that class's own; ``None`` likewise.
        attention: The backends that attention ran on; empty likewise.
        transformer: The single file that its transformer was loaded from, if it was.
    """

    name: str = ""
    family: str = ""
    pipeline: str = ""
    revision: str = ""
    dtype: str = ""
    device: str = ""
    threads: int = 0
    extras: tuple[str, ...] = ()
    loras: tuple[RecipeLora, ...] | None = attrs.field(default=None, validator=_few)
    scheduler: dict[str, Any] | None = None
    attention: str = ""
    transformer: RecipeFile | None = None
