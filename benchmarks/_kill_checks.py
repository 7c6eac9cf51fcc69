"""What lies in a folder before and after a command that was killed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from _kill_points import STORE

if TYPE_CHECKING:
    from collections.abc import Iterator

Files = dict[str, bytes]


def files(folder: Path) -> Files:
    """Return what lies in a folder, hidden files too."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def put(content: Files, folder: Path) -> None:
    """Make a folder hold these files alone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in content.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def differing(found: Files, expected: Files) -> list[str]:
    """Return the names of files that are not the same; the store's lines have no order."""
    names = sorted({*found, *expected})
    return [
        name for name in names
        if found.get(name) != expected.get(name)
        and not (name.endswith(STORE) and lines(found.get(name)) == lines(expected.get(name)))
    ]  # fmt: skip


def lines(data: bytes | None) -> set[bytes]:
    """Return the whole lines of a store: what can be read as JSON."""
    found = set()
    for line in (data or b"").split(b"\n"):
        try:
            json.loads(line)
            found.add(line)
        except ValueError:
            continue
    return found


def hidden(found: Files) -> list[str]:
    """Return the names of hidden files."""
    return [name for name in found if Path(name).name.startswith(".")]


def halves(found: Files, old: Files, new: Files) -> Iterator[str]:
    """Yield what is neither the old file nor the new one."""
    for name, data in found.items():
        if Path(name).name.startswith(".") or data in {old.get(name), new.get(name)}:
            continue
        whole = name.endswith(STORE) and lines(old.get(name)) <= lines(data)
        if not whole or not lines(data) <= lines(new[name]):
            yield f"{name} is neither the old nor the new one"
    for name in old:
        if name not in found:
            yield f"{name} is gone"
