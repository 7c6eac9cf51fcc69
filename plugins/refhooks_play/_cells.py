"""A stage as the cells of a table, there and back: what is written in them is TOML's."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import attrs

from refhooks import StrategyError

__all__ = ["Cells", "inline"]


@attrs.frozen
class Cells:
    """A stage as the page shows it.

    Attributes:
        method: Registered name.
        options: Such as ``formula = "blend", fit = "cover"``; empty: the defaults.
        strength: A number, a short form such as ``0.4:1.0``, a list ``[0.5, 1.0]``, or a schedule
            ``{ schedule = "linear", start = 0.4, end = 1.0 }``; empty: 1.
        until: A number, or a switch ``{ switch = "sigma", below = 0.3 }``; empty: to the end.
    """

    method: str
    options: str = ""
    strength: str = ""
    until: str = ""

    @classmethod
    def of(cls, stage: dict[str, Any]) -> Cells:
        """Return the cells of a ``[[stage]]``."""
        named = stage.get("method", "")
        method = dict(named) if isinstance(named, dict) else {"method": named}
        name = method.pop("method", "")
        options = ", ".join(f"{_key(key)} = {inline(value)}" for key, value in method.items())
        return cls(str(name), options, _cell(stage.get("strength")), _cell(stage.get("until")))

    def table(self, label: str) -> dict[str, Any]:
        """Return the ``[[stage]]`` that the cells mean.

        Args:
            label: How messages call it, such as ``reference 1, stage 2``.

        Raises:
            StrategyError: What stands in a cell cannot be read.
        """
        options = _read(f"{{ {self.options} }}", f"{label}: options", 'formula = "blend"')
        method = {"method": self.method.strip(), **options} if options else self.method.strip()
        stage: dict[str, Any] = {"method": method}
        for name in ("strength", "until"):
            text = getattr(self, name).strip()
            if text:
                stage[name] = _value(text, f"{label}: {name}")
        return stage


def inline(value: Any) -> str:
    """Return a value as TOML writes it in a line.

    Raises:
        StrategyError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(inline(it) for it in value)}]"
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)} = {inline(it)}" for key, it in value.items())
        return f"{{ {inside} }}"
    raise StrategyError(f"{value!r:.80} cannot be written in a cell")


def _key(key: str) -> str:
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else inline(key)


def _cell(value: Any) -> str:
    """A number and a short form stand as they are, the rest as TOML writes it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else inline(value)


def _value(text: str, label: str) -> Any:
    try:
        return float(text)
    except ValueError:
        pass
    if text[0] in "{[":
        return _read(text, label, '{ schedule = "linear", start = 0.4, end = 1.0 }')
    return text


def _read(text: str, label: str, such_as: str) -> Any:
    try:
        data = tomllib.loads(f"it = {text}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = f"{label} cannot be read as TOML, such as {such_as}: {error}"
        raise StrategyError(reason) from error
    if list(data) != ["it"]:
        raise StrategyError(f"{label} must be one value, such as {such_as}")
    return data["it"]
