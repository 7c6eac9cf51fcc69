"""A folder of training pairs: ``pairs.jsonl`` and the pictures that it names."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import attrs
from PIL import Image, ImageOps, UnidentifiedImageError

from refhooks import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from refhooks import Size

LIST = "pairs.jsonl"
KEYS = ("source", "prompt", "target")
FORMATS = ("PNG", "JPEG", "WEBP")
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


def load_fitted(path: Path, size: Size | None) -> Image.Image:
    """Return a picture as RGB, upright, and cropped to fill a size if one is given.

    Raises:
        InputError: It is no picture, or too large.
    """
    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as opened:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a picture: {error}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path} is too large: {error}") from error
    if size is None or picture.size == (size.width, size.height):
        return picture
    return ImageOps.fit(picture, (size.width, size.height), Image.Resampling.LANCZOS)


def _pair(folder: Path, line: str, label: str) -> Pair:
    try:
        held = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label} is not JSON: {error}") from error
    right = isinstance(held, dict) and set(held) == set(KEYS)
    if not right or not all(isinstance(value, str) and value for value in held.values()):
        raise InputError(f"{label} must be like {_example()}, got {line!r:.80}")
    return Pair(
        source=_inside(folder, held["source"], label),
        prompt=held["prompt"],
        target=_inside(folder, held["target"], label),
    )


def _inside(folder: Path, name: Any, label: str) -> Path:
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
