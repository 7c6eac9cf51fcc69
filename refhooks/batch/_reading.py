"""Lists of jobs: JSON Lines, CSV, a folder of pictures, or a list in Python."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from refhooks._apps.forecast.planned import NATIVE
from refhooks._base.files import as_path, is_file, is_folder
from refhooks._base.names import listed
from refhooks._base.numbers import is_list
from refhooks._base.once import keeping
from refhooks._base.outputs import EXTENSIONS
from refhooks._base.shown import shown
from refhooks._base.tables import parse_json, read_capped
from refhooks.batch._entry import KEYS, EntryLoader, unloaded, with_shared
from refhooks.errors import InputError, RefhooksError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from refhooks._core.plugins.registry import Registry
    from refhooks.batch._entry import Entry

    Row = tuple[str, dict[str, Any]]  # how messages call it, and what was written

__all__ = ["as_entries", "read_jobs"]

MAX_BYTES: Final = 256 * 2**20
MAX_JOBS: Final = 100_000
_WHOLE: Final = ("seed", "steps", "height", "width", "vision_resolution")
_NUMBERS: Final = ("cfg", "denoise")
_OF_FOLDER: Final = "?"  # no file is called so on every disk; only its folder counts
_TELL: Final = 20  # errors that are told one by one


def read_jobs(
    jobs: Any, registry: Registry, *, prompt: str | None = None, shared: Mapping[str, Any]
) -> tuple[Path, tuple[Entry, ...]]:
    """Return the jobs of a list, and the file in whose folder their paths begin.

    Args:
        jobs: Path of a .jsonl or .csv file, of a folder of pictures, or a list of mappings.
        registry: What names in them mean.
        prompt: Of a folder's pictures.
        shared: What all jobs have, unless they say it themselves.

    Raises:
        InputError: There is none, there are too many, or some cannot be used: all of them are told.
    """
    errors: list[str] = []
    base, rows = _rows(jobs, prompt, errors)
    if not rows and not errors:
        raise InputError(f"{_named(jobs)} holds no job{_what_a_job_is(jobs)}")
    if len(rows) > MAX_JOBS:
        raise InputError(f"{_named(jobs)} holds {len(rows)} jobs; at most {MAX_JOBS:,}: split it")
    whole = [(label, with_shared(fields, shared)) for label, fields in rows]
    entries = as_entries(whole, base, registry, errors)
    _check_twice(entries, errors)
    if errors:
        raise _refused(errors, _named(jobs))
    return base, tuple(entries)


@keeping()
def as_entries(
    rows: Iterable[Row], base: Path, registry: Registry, errors: list[str]
) -> list[Entry]:
    """Return the jobs that can be used; what is wrong with the others goes into ``errors``."""
    named = base.parent if base.name == _OF_FOLDER else base
    loader = EntryLoader(registry, base, unloaded(registry, NATIVE), str(named))
    entries = []
    for label, fields in rows:
        try:
            entries.append(loader.entry(fields, label))
        except RefhooksError as error:
            errors.append(str(error))
    return entries


def _rows(jobs: Any, prompt: str | None, errors: list[str]) -> tuple[Path, list[Row]]:
    if is_list(jobs):
        return Path("jobs"), list(_listed(jobs))
    if not isinstance(jobs, str | Path):
        raise InputError(
            "jobs must be a file (.jsonl, .csv), a folder of pictures, or a list of mappings; got"
            f" {shown(jobs)}"
        )
    path = as_path(jobs)
    if is_folder(path):
        return path / _OF_FOLDER, list(_pictures(path, prompt))
    if not is_file(path):
        raise InputError(f"there is no file or folder {path}; jobs are a .jsonl or .csv file, or a"
                         " folder of pictures")  # fmt: skip
    if prompt is not None:
        raise InputError(
            f"a prompt is for a folder of pictures, and {path} is none; its jobs have their own"
        )
    readers = {".jsonl": _json_lines, ".csv": _csv_rows}
    if path.suffix.lower() not in readers:
        raise InputError(
            f"{path}: jobs are a file that ends in {listed(readers)}, or a folder of pictures"
        )
    data = read_capped(path, MAX_BYTES, InputError, "; split it").removeprefix(b"\xef\xbb\xbf")
    return path, list(readers[path.suffix.lower()](data, path, errors))


def _listed(jobs: Any) -> Iterator[Row]:
    for number, job in enumerate(jobs, 1):
        if not isinstance(job, Mapping):
            raise InputError(
                f"job {number} must be a mapping, as {{'id': 'a', 'image': 'a.png', 'prompt':"
                f" 'make it night'}}; got {shown(job)}"
            )
        try:
            yield (
                f"job {number}",
                json.loads(json.dumps(dict(job), default=_plain, allow_nan=False)),
            )
        except (TypeError, ValueError) as error:
            raise InputError(
                f"job {number} holds what JSON cannot: {error}; pictures, masks and strategies are"
                " given as paths or tables"
            ) from error


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__}")


def _json_lines(data: bytes, path: Path, errors: list[str]) -> Iterator[Row]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield f"line {number}", parse_json(line, f"{path}: line {number}")
        except InputError as error:
            errors.append(str(error))


def _csv_rows(data: bytes, path: Path, errors: list[str]) -> Iterator[Row]:
    """The first line names the columns; an empty cell says nothing, ``;`` divides references."""
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        unknown = [name for name in reader.fieldnames or () if name not in KEYS]
        if unknown:
            errors.append(f"{path}: unknown column {shown(unknown[0])}. Columns: {listed(KEYS)}")
            return
        for row in reader:
            label = f"line {reader.line_num}"
            if None in row:
                errors.append(f"{path}: {label} has more cells than there are columns")
                continue
            yield label, {key: _cell(key, cell) for key, cell in row.items() if cell}
    except (csv.Error, UnicodeDecodeError) as error:
        errors.append(f"{path} cannot be read as CSV: {error}")


def _cell(key: str, text: str) -> Any:
    """What a cell holds, as JSON has it; what is no number there is refused as the text it is."""
    try:
        if key in _WHOLE or (key == "resolution" and text != "native"):
            return int(text)
        if key in _NUMBERS or key == "strength":
            return float(text)
    except ValueError:
        return text
    if key == "references":
        return [part.strip() for part in text.split(";") if part.strip()]
    if key == "align":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _pictures(folder: Path, prompt: str | None) -> Iterator[Row]:
    """Those that lie in it, and not deeper, in the order of their names."""
    if prompt is None:
        raise InputError(f"{folder} is a folder, whose pictures need a prompt")
    for place in sorted(folder.iterdir()):
        if place.suffix.lower() in EXTENSIONS and not place.name.startswith("."):
            yield place.name, {"id": place.stem, "image": place.name, "prompt": prompt}


def _check_twice(entries: Iterable[Entry], errors: list[str]) -> None:
    """Disks that know no case would put both into one file."""
    first: dict[str, Entry] = {}
    for entry in entries:
        other = first.setdefault(entry.id.casefold(), entry)
        if other is not entry:
            differ = "" if other.id == entry.id else f", beside {other.id!r},"
            errors.append(
                f"id {entry.id!r}{differ} is given twice, for {other.fields['image']} and"
                f" {entry.fields['image']}; each output needs a name of its own"
            )


def _refused(errors: list[str], name: str) -> InputError:
    if len(errors) == 1:
        return InputError(errors[0])
    refused = InputError(f"{name}: {len(errors)} errors in its jobs, so none was begun")
    for text in errors[:_TELL]:
        refused.add_note(text)
    if len(errors) > _TELL:
        refused.args = (f"{refused}; the first {_TELL} of them are told",)
    return refused


def _named(jobs: Any) -> str:
    return str(jobs) if isinstance(jobs, str | Path) else "the list"


def _what_a_job_is(jobs: Any) -> str:
    if isinstance(jobs, str | Path) and is_folder(jobs):
        return f": no picture that ends in {listed(EXTENSIONS)} lies in it"
    return "; each has at least id, image and prompt"
