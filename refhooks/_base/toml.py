"""Writing TOML: the standard library only reads it."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["to_toml"]


def to_toml(data: dict[str, Any]) -> str:
    """Return a document of strings, numbers, bools, lists and dicts as TOML.

    A list of dicts that is the value of a table's key becomes an array of tables, and a dict that
    holds one a table of its own; every other dict is written inline.
    """
    return "\n".join(_table(data, ())).strip() + "\n"


def _table(table: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    apart = {key: value for key, value in table.items() if _is_apart(value)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in apart]
    for key, value in apart.items():
        inner = (*path, _key(key))
        head = f"[{'.'.join(inner)}]"
        if isinstance(value, dict):
            lines += ["", head, *_table(value, inner)]
            continue
        for entry in value:
            lines += ["", f"[{head}]", *_table(entry, inner)]
    return lines


def _is_apart(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_array_of_tables(inner) for inner in value.values())
    return _is_array_of_tables(value)


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(it, dict) for it in value)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(it)}" for key, it in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(it) for it in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _string(value) if isinstance(value, str) else repr(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _string(text: str) -> str:
    """JSON's escapes are TOML's, except that TOML escapes DEL as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
