"""A folder of training pairs: ``pairs.jsonl`` and the pictures that it names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from refhooks import InputError
from refhooks.pictures import fit_picture, load_picture

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from refhooks import Size

LIST = "pairs.jsonl"
KEYS = ("source", "prompt", "target")
MAX_BYTES = 64 * 2**20


@attrs.frozen
class Pair:
    """An edit to learn: what ``prompt`` makes of the picture ``source``."""

    source: Path
    prompt: str
    target: Path


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """Return the pairs that a folder lists, one JSON object a line.

    Raises:
        InputError: There is no list, a line is not ``{"source": ..., "prompt": ..., "target":
            ...}``, or names what is not a file inside the folder.
    """
    path = folder / LIST
    if not path.is_file():
        raise InputError(f"{folder} holds no {LIST}; it lists one pair a line: {_example()}")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES // 2**20} MiB")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    pairs = tuple(
        _pair(folder, line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    )
    if not pairs:
        raise InputError(f"{path} lists no pair")
    return pairs


def load_fitted(path: Path, size: Size | None) -> Image:
    """Return a picture as RGB, upright, and cropped to fill a size if one is given.

    Raises:
        InputError: It is no picture, or too large.
    """
    picture = load_picture(path)
    return picture if size is None else fit_picture(picture, size, "cover")


def _pair(folder: Path, line: str, label: str) -> Pair:
    try:
        table = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label} is not JSON: {error}") from error
    right = isinstance(table, dict) and set(table) == set(KEYS)
    if not right or not all(isinstance(value, str) and value for value in table.values()):
        raise InputError(f"{label} must be like {_example()}, got {line!r:.80}")
    return Pair(
        source=_inside(folder, table["source"], label),
        prompt=table["prompt"],
        target=_inside(folder, table["target"], label),
    )


def _inside(folder: Path, name: str, label: str) -> Path:
    """A list from a stranger names nothing outside its folder, also not by a link."""
    try:
        place = (folder / name).resolve()
        inside = place.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{label}: {name!r:.80} is no file name: {error}") from error
    if not inside:
        raise InputError(f"{label}: {name!r:.80} is outside the folder {folder}")
    if not place.is_file():
        raise InputError(f"{label}: there is no file {name!r:.80} in {folder}")
    return place


def _example() -> str:
    return json.dumps({"source": "a.png", "prompt": "make it night", "target": "a-night.png"})
