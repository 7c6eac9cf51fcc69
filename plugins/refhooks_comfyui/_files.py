"""Where a workflow lies: a JSON file, or the texts of a picture that ComfyUI saved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import InputError
from refhooks.pictures import load_texts
from refhooks_comfyui._prompt import is_prompt, read_prompt
from refhooks_comfyui._saved import is_saved, read_saved

if TYPE_CHECKING:
    from pathlib import Path

    from refhooks_comfyui._graph import Graph

MAX_BYTES = 8 * 2**20
MAX_DEPTH = 64
PROMPT, SAVED = "prompt", "workflow"
CHUNK = "comf"  # of animated PNGs
PICTURES = (b"\x89PNG", b"RIFF", b"\xff\xd8")


@attrs.frozen(eq=False)
class Found:
    """A workflow that was found.

    Attributes:
        graph: What it says.
        form: ``prompt`` or ``workflow``.
        place: Where in the file, in words.
    """

    graph: Graph
    form: str
    place: str


def find_workflow(path: Path) -> Found:
    """Return the workflow that a file is or holds.

    Of a picture that holds both forms the ``prompt`` is read: it is what made the picture.

    Raises:
        InputError: The file cannot be read, is too large, or holds no workflow.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    try:
        if data.startswith(PICTURES):
            return _of_picture(path)
        return _of_text(data, "the file")
    except InputError as error:
        raise InputError(f"{path} cannot be imported: {error}") from error


def _of_picture(path: Path) -> Found:
    texts = _named(load_texts(path, chunks=(CHUNK,)))
    for name in (PROMPT, SAVED):
        if name in texts:
            return _of_text(texts[name].encode("utf-8", "replace"), f"its text {name!r}")
    raise InputError(
        "it is a picture without a workflow; ComfyUI writes one unless metadata is switched off,"
        " and most programs and sites that handle a picture take it out"
    )


def _named(texts: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """In a PNG they have names; in EXIF the name stands before the text, with a colon."""
    read: dict[str, str] = {}
    for name, text in texts:
        head, colon, tail = text[:20].partition(":")
        if name in {PROMPT, SAVED}:
            read.setdefault(name, text)
        elif colon and head.strip().lower() in {PROMPT, SAVED}:
            read.setdefault(head.strip().lower(), tail + text[20:])
    return read


def _of_text(data: bytes, place: str) -> Found:
    if len(data) > MAX_BYTES:
        raise InputError(f"{place} is larger than {MAX_BYTES // 2**20} MiB")
    table = _parsed(data, place)
    wrapped = [it for name in (PROMPT, SAVED) if isinstance(it := table.get(name), dict)]
    for inner in (table, *wrapped):  # as sent to a server
        if is_saved(inner):
            return Found(read_saved(inner), SAVED, place)
        if is_prompt(inner):
            return Found(read_prompt(inner), PROMPT, place)
    raise InputError(f"{place} is no workflow: it has neither nodes nor a table of class_types")


def _parsed(data: bytes, place: str) -> dict[str, Any]:
    try:
        # ComfyUI itself writes NaN, which no JSON has
        table = json.loads(data.decode("utf-8-sig"), parse_constant=lambda _: None)
    except RecursionError as error:
        raise _too_deep(place) from error
    except ValueError as error:
        raise InputError(f"{place} is not valid JSON: {error}") from error
    if not isinstance(table, dict):
        raise InputError(f"{place} is no workflow: it holds a {type(table).__name__}, no table")
    _check_depth(table, place)
    return table


def _check_depth(data: Any, place: str) -> None:
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise _too_deep(place)


def _too_deep(place: str) -> InputError:
    return InputError(f"{place} is nested deeper than {MAX_DEPTH} levels")
