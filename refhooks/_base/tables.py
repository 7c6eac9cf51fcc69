"""Reading TOML and JSON that may come from a stranger."""

from __future__ import annotations

import json
import math
import re
import tomllib
from typing import TYPE_CHECKING, Any

from refhooks._base.shown import shown
from refhooks.errors import StrategyError

if TYPE_CHECKING:
    from pathlib import Path

    from refhooks.errors import InputError

__all__ = ["read_table"]

MAX_BYTES = 2**20  # 1 MiB
MAX_DEPTH = 32
MAX_WHOLE = 2**63 - 1
# tomllib takes time that grows with the square of the parts of a dotted key: minutes for 1 MiB.
_LONG_KEY = re.compile(
    r"""(?<![\w-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)"""
    f"{{{MAX_DEPTH}}}"
)


def read_table(path: Path) -> dict[str, Any]:
    """Return the table that a .toml or .json file holds.

    Raises:
        StrategyError: There is no such file, it is larger than 1 MiB, nested deeper than 32 levels,
            not valid, or holds NaN or infinity.
    """
    text = _text(path)
    try:
        data = _parse(path, text)
    except RecursionError as error:
        raise _too_deep(path) from error
    except StrategyError:
        raise
    except ValueError as error:
        kind = path.suffix.lower().lstrip(".").upper()
        raise StrategyError(f"{path} is not valid {kind}: {error}") from error
    if not isinstance(data, dict):
        raise StrategyError(f"{path} must hold a table, got {shown(data)}")
    _check_values(data, path)
    return data


def parse_json(data: bytes, label: str) -> dict[str, Any]:
    """Return the table that JSON from a stranger holds.

    Raises:
        StrategyError: It is no UTF-8, no JSON, no table, nested too deep, or holds NaN or infinity.
    """
    try:
        table = json.loads(data.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise _too_deep(label) from error
    except ValueError as error:
        raise StrategyError(f"{label} is not valid JSON: {error}") from error
    if not isinstance(table, dict):
        raise StrategyError(f"{label} must hold a table, got {shown(table)}")
    _check_values(table, label)
    return table


def read_capped(
    path: Path, most: int, wrong: type[InputError], advice: str = "", *, start: int = 0
) -> bytes:
    """Return the bytes of a file of at most so many, or raise ``wrong``; ``advice`` for more.

    Those before ``start`` are left out.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(max(most + 1 - start, 1))
    except FileNotFoundError as error:
        raise wrong(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        raise wrong(f"{path} cannot be read: {error}") from error
    if start + len(data) > most:
        raise wrong(f"{path} is larger than {most // 2**20} MiB{advice}")
    return data


def _text(path: Path) -> str:
    if path.suffix.lower() not in {".toml", ".json"}:
        raise StrategyError(f"{path}: a strategy or chain file ends in .toml or .json")
    data = read_capped(path, MAX_BYTES, StrategyError)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrategyError(f"{path} is not UTF-8 text: {error.reason}") from error


def _parse(path: Path, text: str) -> Any:
    if path.suffix.lower() == ".toml":
        if _LONG_KEY.search(text):
            raise _too_deep(path)
        return tomllib.loads(text)
    return json.loads(text, object_pairs_hook=_without_duplicates)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON keeps the last of two equal keys, and says nothing."""
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"the key {shown(key)} comes twice")
        table[key] = value
    return table


def _check_values(data: Any, path: Path | str) -> None:
    """Look at every value, level by level and without recursion."""
    level = [data]
    for _ in range(MAX_DEPTH):
        for value in level:
            if isinstance(value, float) and not math.isfinite(value):
                raise StrategyError(f"{path} holds {value}; every number must be finite")
            if isinstance(value, int) and abs(value) > MAX_WHOLE:
                raise StrategyError(f"{path} holds a whole number beyond 64 bits")
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise _too_deep(path)


def _too_deep(path: Path | str) -> StrategyError:
    return StrategyError(f"{path} is nested deeper than {MAX_DEPTH} levels")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
