"""A scorecard's file: every type, range and count is checked where it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import cattrs

from refhooks._base.files import as_path
from refhooks._base.numbers import whole
from refhooks._base.shown import shown
from refhooks._base.strict import strict_converter
from refhooks._base.tables import parse_json, read_capped
from refhooks._core.planning.bounds import (
    MAX_SEED,
    read_cfg,
    read_denoise,
    read_seed,
    read_steps,
    read_strength,
)
from refhooks.errors import InputError, StrategyError
from refhooks.score._card_parts import Scene, Score
from refhooks.score._cell import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FORMAT, VERSION = "refhooks-score", 1
MAX_BYTES = 256 * 2**20
MAX_SCENES = 1_000_000
MAX_CELLS = 100_000
MAX_MEASURES = 1000
MAX_REFERENCES = 10_000
MAX_TEXT = 10_000  # characters, as a pair's prompt and kind
INTERVALS = "intervals"  # they follow from the values, and are there for other readers

Values = dict[str, tuple[float | None, ...]]


@attrs.frozen
class CardTable:
    """What a file holds."""

    model: str
    settings: Settings
    scenes: tuple[Scene, ...]
    cells: tuple[Score, ...]
    ceiling: Values


def read_card(path: str | Path) -> CardTable:
    """Return what the file of a scorecard holds; raises as ``Scorecard.read_json``."""
    try:
        data = read_capped(as_path(path), MAX_BYTES, InputError)
        table = parse_json(data, str(path))
    except StrategyError as error:
        raise InputError(str(error)) from error
    if not _is_ours(table.pop("format", None), table.pop("version", None)):
        raise InputError(f"{path} is no scorecard of refhooks, or of another version")
    try:
        return _card(table)
    except _UNFIT as error:
        raise InputError(f"{path} is no scorecard of refhooks: {_reason(error)}") from error


def _is_ours(form: Any, version: Any) -> bool:
    return form == FORMAT and type(version) is int and version == VERSION


def _card(table: dict[str, Any]) -> CardTable:
    fields = [field.name for field in attrs.fields(CardTable)]
    table.setdefault("ceiling", {})  # files before it had none
    for key in dict.fromkeys([*fields, *table]):
        if key not in table or key not in fields:
            said = "there is no" if key in fields else "unknown key"
            raise InputError(f"{said} {shown(key)}; it must have {', '.join(fields)}")
    scenes = [
        _part(Scene, entry, f"scene {number}", _check_scene)
        for number, entry in enumerate(_list(table["scenes"], "scenes", MAX_SCENES), 1)
    ]
    cells = [
        _part(Score, _without_intervals(entry), f"cell {number}", _check_cell)
        for number, entry in enumerate(_list(table["cells"], "cells", MAX_CELLS), 1)
    ]
    _check_names(cells)
    _check_rows(cells, len(scenes))
    settings = _part(Settings, table["settings"], "settings", lambda _: None)
    ceiling = _part(Values, table["ceiling"], "ceiling", lambda it: _check_values(it, len(scenes)))
    model = _strict.structure(table["model"], str)
    return CardTable(model, settings, tuple(scenes), tuple(cells), ceiling)


def _part(cls: type[Any], value: Any, label: str, check: Any) -> Any:
    """One table as a value, with its place before whatever is wrong with it."""
    try:
        part = _strict.structure(value, cls)
        check(part)
    except _UNFIT as error:
        raise InputError(f"{label}: {_reason(error)}") from error
    return part


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {shown(error.args[0])}"
    reason = error.args[0] if error.args else type(error).__name__
    return f"{reason!s:.300}"


def _list(value: Any, name: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        got = f"{len(value):,}" if isinstance(value, list) else shown(value)
        raise InputError(f"{name} must be a list of at most {most:,}, got {got}")
    return value


def _without_intervals(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if not isinstance(value.get(INTERVALS, {}), dict):
        raise InputError(f"{INTERVALS} must be a table, got {shown(value[INTERVALS])}")
    return {key: entry for key, entry in value.items() if key != INTERVALS}


def _check_scene(scene: Scene) -> None:
    _check_text(scene.key, "key")
    _check_text(scene.kind, "kind")
    whole(scene.references, "references", 0, MAX_REFERENCES)


def _check_cell(cell: Score) -> None:
    _check_text(cell.name, "name")
    if cell.strength is not None:
        read_strength(cell.strength)
    read_denoise(cell.denoise)
    read_steps(cell.steps)
    read_cfg(cell.cfg)
    read_seed(cell.seed, high=MAX_SEED)
    if len(cell.values) > MAX_MEASURES:
        raise InputError(f"values has {len(cell.values)} measures, at most {MAX_MEASURES}")


def _check_values(values: Values, scenes: int) -> None:
    if len(values) > MAX_MEASURES:
        raise InputError(f"it has {len(values)} measures, at most {MAX_MEASURES}")
    for name, row in values.items():
        if len(row) != scenes:
            raise InputError(f"{shown(name)} has {len(row)} values, and there are {scenes} scenes")


def _check_text(text: str, name: str) -> None:
    if not text.strip() or len(text) > MAX_TEXT:
        raise InputError(
            f"{name} must be a text of at most {MAX_TEXT:,} letters, got {shown(text)}"
        )


def _check_names(cells: Iterable[Score]) -> None:
    seen: set[str] = set()
    for cell in cells:
        if cell.name in seen:
            raise InputError(f"two cells are called {shown(cell.name)}; a name is unique")
        seen.add(cell.name)


def _check_rows(cells: Iterable[Score], count: int) -> None:
    for cell in cells:
        for name, row in cell.values.items():
            if len(row) != count:
                raise InputError(
                    f"cell {shown(cell.name)} has {len(row)} values of {shown(name)}, and there are"
                    f" {count} scenes"
                )


def _row(value: Any) -> Sequence[float | None]:
    """What ``parse_json`` let through is finite."""
    if not isinstance(value, list):
        raise InputError(f"a measure must be a list of values, got {shown(value)}")
    for entry in value:
        if entry is not None and type(entry) not in {int, float}:
            raise InputError(f"a value must be a number or null, got {shown(entry)}")
    return tuple([None if entry is None else float(entry) for entry in value])


def _values(value: Any, _: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"values must be a table of measures, got {shown(value)}")
    return {_strict.structure(name, str): _row(row) for name, row in value.items()}


_strict = strict_converter()
_strict.register_structure_hook_func(lambda cls: cls == Values, _values)
_UNFIT = (
    ArithmeticError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    cattrs.ForbiddenExtraKeysError,
)
