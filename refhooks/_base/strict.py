"""Values of a stranger's JSON as typed ones, without goodwill: a text is no number, and no list.

A converter of cattrs makes a number of a text, a text of anything, and a list of a text's letters.
"""

from __future__ import annotations

from typing import Any, get_args, get_origin

import cattrs

from refhooks._base.shown import shown

__all__ = ["strict_converter"]


def strict_converter() -> cattrs.Converter:
    """Return a converter that refuses what is not of its type, and keys that nobody knows."""
    strict = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)
    for kind in (str, int, float, bool):
        strict.register_structure_hook(kind, _exactly(kind))

    def list_of(cls: Any) -> Any:
        inner = get_args(cls)[0]

        def take(value: Any, _: Any) -> tuple[Any, ...]:
            if not isinstance(value, list):
                raise ValueError(f"{shown(value)} is no list")  # noqa: TRY004
            return tuple([strict.structure(entry, inner) for entry in value])

        return take

    def texts(value: Any, _: Any) -> dict[str, str]:
        return {key: strict.structure(text, str) for key, text in _table(value, _).items()}

    strict.register_structure_hook_factory(_is_tuple, list_of)
    strict.register_structure_hook_func(lambda cls: cls == dict[str, Any], _table)
    strict.register_structure_hook_func(lambda cls: cls == dict[str, str], texts)
    return strict


def _exactly(kind: type) -> Any:
    def take(value: Any, _: Any) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{shown(value)} is no {kind.__name__}")
        if isinstance(value, str):
            value.encode("utf-8")  # a lone surrogate is in no text
        return value

    return take


def _table(value: Any, _: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{shown(value)} is no table")  # noqa: TRY004
    return value


def _is_tuple(cls: Any) -> bool:
    origin: Any = get_origin(cls)
    return origin is tuple
