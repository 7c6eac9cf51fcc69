"""Which options name files, and that these are files of the session.

Methods, masks, schedules, switches and run plugins say in ``files`` which of their options are
paths. What a page, a strategy file or a recipe gives for one counts by its name alone, among the
files that the session was given: nobody makes the machine that serves the page open another.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refhooks import StrategyError, load_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    File = Callable[[str, str], str]

__all__ = ["KINDS", "mask_files", "mask_rewritten", "name_inside", "named", "rewritten", "within"]

KINDS = {
    "method": "methods", "schedule": "schedules", "switch": "switches", "plugin": "plugins",
    "shape": "masks",
}  # fmt: skip
"""The key by which a table names a plugin, and where the registry has those."""
_PATH = re.compile(r"[/\\]|^~|\.[A-Za-z]\w*$")
_LISTS = ("stage", "mask", "plugin")


def mask_files() -> tuple[str, ...]:
    """Return the options of mask shapes that name a file."""
    shapes = load_registry().masks.values()
    return tuple(dict.fromkeys(it for shape in shapes for it in getattr(shape, "files", ())))


def within(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the tables of a strategy file with paths of the session's files in place of names.

    Raises:
        StrategyError: One is not there.
    """
    return rewritten(table, lambda it, label: str(folder / name_inside(it, folder, label)))


def named(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the tables of a strategy file with the names of the session's files; raises likewise.

    Args:
        table: Its paths may be a stranger's.
        folder: Of the session.
    """
    return rewritten(table, lambda it, label: name_inside(it, folder, label))


def rewritten(table: dict[str, Any], file: File, label: str = "") -> dict[str, Any]:
    """Return tables with every option that names a file given anew.

    Args:
        table: A whole strategy file, a ``[[reference]]`` or a ``[[mask]]``.
        file: Gets what is given for an option, and how messages call that; returns what it becomes.
        label: How messages call the table.

    Raises:
        StrategyError: An option that is said to name no file looks as if it did.
    """
    changed = dict(table)
    if "reference" in changed:
        changed["reference"] = [
            rewritten(it, file, f"reference {number}")
            for number, it in _numbered(changed["reference"])
        ]
    for key in _LISTS:
        if key in changed:
            changed[key] = [
                _options(it, file, f"{label}, {key} {number}".lstrip(", "), masks=key == "mask")
                for number, it in _numbered(changed[key])
            ]
    return changed


def _numbered(tables: Any) -> Iterator[tuple[int, Any]]:
    return enumerate(tables if isinstance(tables, list | tuple) else (), 1)


def mask_rewritten(table: dict[str, Any], file: File, label: str) -> dict[str, Any]:
    """Return one ``[[mask]]`` likewise; raises as :func:`rewritten`."""
    changed: dict[str, Any] = _options(table, file, label, masks=True)
    return changed


def _options(value: Any, file: File, label: str, *, masks: bool = False) -> Any:
    """What a table, and the tables inside of it, say."""
    if isinstance(value, list | tuple):
        return [_options(it, file, label) for it in value]
    if isinstance(value, str):
        return _no_path(value, label)
    if not isinstance(value, dict):
        return value
    declared = set(mask_files()) if masks else _declared(value)
    changed = {}
    for key, given in value.items():
        place = f"{label}: {key}"
        if key in declared and isinstance(given, str):
            changed[key] = file(given, place)
        elif key in KINDS and isinstance(given, str):  # a registered name
            changed[key] = given
        else:
            changed[key] = _options(given, file, label if isinstance(given, dict) else place)
    return changed


def _declared(table: dict[str, Any]) -> set[str]:
    """The options of a table that name files, as the class of its plugin says."""
    registry = load_registry()
    found: set[str] = set()
    for key, kind in KINDS.items():
        name = table.get(key)
        if isinstance(name, str):
            found |= set(getattr(getattr(registry, kind).get(name), "files", ()))
    return found


def _no_path(value: str, label: str) -> str:
    """Whatever an option is for, the page gives it no path: its plugin may open it."""
    if _PATH.search(value) or _is_there(value):
        raise StrategyError(
            f"{label} is {value!r:.80}, which looks like a file of the machine that serves this"
            " page, and those are not opened from here; use refhooks edit"
        )
    return value


def _is_there(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def name_inside(path: str, folder: Path, label: str) -> str:
    """Return the name of a file of the session.

    Raises:
        StrategyError: It is not there.
    """
    name = path.replace("\\", "/").rpartition("/")[2]
    if not name or name.startswith(".") or not (folder / name).is_file():
        raise StrategyError(
            f"{label} is {name!r:.80}, which is not on the page; open it together with the file"
        )
    return name
