"""Tables of a file as typed values; what is unknown or of another type is refused by name."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import attrs
import cattrs

from refhooks._base.files import write_whole
from refhooks._base.names import did_you_mean, listed
from refhooks._base.shown import shown
from refhooks._base.toml import to_toml
from refhooks.errors import InputError, StrategyError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)


def write_table(data: dict[str, Any], path: Path) -> Path:
    """Write a table as TOML or JSON, as the ending of its file says.

    Raises:
        InputError: Another ending, or the file cannot be written.
    """
    if path.suffix.lower() == ".json":
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    elif path.suffix.lower() == ".toml":
        text = to_toml(data)
    else:
        raise InputError(f"{path}: the ending must be .toml or .json")
    try:
        written = text.encode()
    except ValueError as error:  # a path that is no Unicode
        raise InputError(f"{path} cannot be written: {error}") from error
    write_whole(written, path)
    return path


def as_table(cls: type[Any], data: Any, label: str) -> Any:
    """Read one table; nested ones stay as they are, so that each error knows where it is."""
    known = [field.name for field in attrs.fields(cls)]
    if not isinstance(data, dict):
        raise StrategyError(f"{label} must be a table with {listed(known)}, got {shown(data)}")
    try:
        return _converter.structure(data, cls)
    except cattrs.ForbiddenExtraKeysError as error:
        key = next(key for key in data if key in error.extra_fields)
        place = getattr(cls, "belongs", {}).get(key, "")
        near = "" if place else did_you_mean(key, known)
        hint = "" if near else _where_it_goes(key, place) or _where_options_go(data, key)
        raise StrategyError(
            f"{label}: unknown key {shown(key)}.{near} Keys: {listed(known)}{hint}"
        ) from error


def _where_it_goes(key: str, place: str) -> str:
    """What belongs into another table of the file."""
    return f". {key} belongs into a {place}, so write {place} above it" if place else ""


def _where_options_go(data: dict[str, Any], key: str) -> str:
    """A method's option beside the method, instead of in its table, is the likeliest mistake."""
    method = data.get("method")
    if not isinstance(method, str):
        return ""
    table = f'{{ method = "{method:.40}", {key:.40} = ... }}'
    return f". An option of the method goes into its table: method = {table}"


@contextlib.contextmanager
def at_label(label: str) -> Iterator[None]:
    """Put a label before the message of what is refused inside.

    Raises:
        StrategyError: Something was refused.
        UnknownNameError: Something named what no live plugin registers.
    """
    try:
        yield
    except UnknownNameError as error:
        raise UnknownNameError(f"{label}: {error}") from error
    except InputError as error:
        raise StrategyError(f"{label}: {error}") from error
