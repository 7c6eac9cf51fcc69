"""Manifests: the user's own pairs, one JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from refhooks._base.files import as_path
from refhooks._base.names import did_you_mean, listed
from refhooks._base.pictures import in_mode, load_mask, load_picture
from refhooks._base.shown import shown
from refhooks._base.tables import parse_json, read_capped
from refhooks.errors import InputError
from refhooks.score._pair import Pair

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

MAX_BYTES = 16 * 2**20
MAX_LINES = 10_000
MAX_REFERENCES = 16
WHITE = 128  # of 255: from here on a mask's pixel is one that should change


@attrs.frozen
class _Line:
    """A line, as it stands in the file."""

    source: Any = None
    prompt: Any = None
    kind: Any = "edit"
    right: Any = None
    mask: Any = None
    references: Any = ()
    seed: Any = 0


KEYS = tuple(field.name for field in attrs.fields(_Line))


def read_manifest(path: str | Path) -> tuple[Pair, ...]:
    """Return the pairs of a manifest: JSON Lines, one object a line, empty lines left out.

    Each has ``source`` and ``prompt``, and may have ``kind``, ``right``, ``mask`` (a picture, white
    where the source should change, or ``true``: everywhere), ``references`` (a list) and ``seed``.
    Pictures are relative to the manifest's folder.

    Args:
        path: At most 16 MiB and 10,000 pairs.

    Raises:
        InputError: The file cannot be read, or a line is no pair; the message names the file, the
            line and the field.
    """
    place = as_path(path)
    pairs: list[Pair] = []
    for number, line in enumerate(_lines(place), 1):
        if line.strip():
            if len(pairs) == MAX_LINES:
                raise InputError(f"{place} holds more than {MAX_LINES:,} pairs; split it")
            pairs.append(_pair(line, f"{place}: line {number}", place.parent))
    if not pairs:
        raise InputError(f"{place} holds no pair; each line is an object with source and prompt")
    return tuple(pairs)


def _lines(path: Path) -> list[bytes]:
    data = read_capped(path, MAX_BYTES, InputError, "; split it")
    return data.removeprefix(b"\xef\xbb\xbf").split(b"\n")


def _pair(line: bytes, label: str, folder: Path) -> Pair:
    data = parse_json(line, label)
    unknown = [key for key in data if key not in KEYS]
    if unknown:
        raise InputError(
            f"{label}: unknown field {shown(unknown[0])}.{did_you_mean(unknown[0], KEYS)}"
            f" Fields: {listed(KEYS)}"
        )
    row = _Line(**data)
    for field in ("source", "prompt"):
        if not isinstance(getattr(row, field), str) or not getattr(row, field).strip():
            raise InputError(f"{label}: {field} must be a text, got {shown(getattr(row, field))}")
    references = row.references
    if not isinstance(references, list | tuple) or len(references) > MAX_REFERENCES:
        raise InputError(
            f"{label}: references must be a list of at most {MAX_REFERENCES} pictures, got"
            f" {shown(references)}"
        )
    source = _place(row.source, f"{label}: source", folder)
    others = [_place(it, f"{label}: references", folder) for it in references]
    right = None if row.right is None else _place(row.right, f"{label}: right", folder)
    mask = _mask(row.mask, f"{label}: mask", folder, source)
    try:
        return Pair(source, row.prompt, kind=row.kind, seed=row.seed, references=others,
                    right=right, mask=mask, name=label)  # fmt: skip
    except InputError as error:
        raise InputError(f"{label}: {error}") from error


def _place(value: Any, label: str, folder: Path) -> Path:
    """A picture that can be read; whatever is wrong with it, the field is named."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{label} must be a picture's path, got {shown(value)}")
    try:
        load_picture(folder / value)
    except InputError as error:
        raise InputError(f"{label}: {error}") from error
    return folder / value


def _mask(value: Any, label: str, folder: Path, source: Path) -> npt.NDArray[np.bool_] | None:
    if value is None:
        return None
    if value is True:
        width, height = load_picture(source).size
        return np.ones((height, width), bool)
    if not isinstance(value, str):
        raise InputError(f"{label} must be a picture's path, or true, got {shown(value)}")
    picture = load_mask(_place(value, label, folder))
    grey = np.asarray(in_mode(picture, "RGB").convert("L"))
    return grey >= (WHITE if grey.max() > 1 else 1)  # 0 and 1 are numbers of classes
