"""Values that a file or a call may hold by mistake or on purpose, and one change to a good one."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from refhooks._base.toml import to_toml

if TYPE_CHECKING:
    from collections.abc import Callable

    Strategy = st.SearchStrategy[Any]
    Draw = Callable[[Strategy], Any]

NUMBERS = (
    0, -0.0, -1, 1e-9, 0.5, 1.0000001, 2, 2.5, 63, 65, 1001, 4097, 2**16, 2**31, 2**53 + 1, 2**63,
    -(2**63) - 1, 10**30, 10**400, 1e30, 1e300, 5e-324, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "0", "1", "nan", "0.4:1.0", "0@0.4,1@2", "0.4:1.0:cosine", "25%", "-1", "1e400",
    "10%,10%,50%,50%", "0,0,0,0", "a\nb", "\x1b[31mred", "\x00", "\x7f", "\u202egpj", "\ud800",
    "..", "./x", "x.png", "mask.png", "none.png", "%s%n", "{0}", "${x}", "__class__", "é" * 300,
    "x" * 256, "x" * 5000,
    "default", "inject", "DEFAULT", "linear", "never", "1" * 400, "٣", "²", "１",
)  # fmt: skip
KEYS = (
    "method", "strength", "until", "stage", "mask", "reference", "image", "resolution", "vision",
    "plugin", "schedule", "switch", "shape", "box", "polygon", "alpha", "kind", "invert", "feather",
    "soft", "text", "edit", "prompt", "cell", "name", "denoise", "steps", "cfg", "seed", "range",
    "start", "end", "values", "frames", "below", "at", "where", "fit", "layers", "formula", "power",
    "array", "value", "format", "prompts", "seeds", "files", "model", "sha256", "picture", "",
)  # fmt: skip

numbers: Strategy = st.sampled_from(NUMBERS) | st.integers(-3, 300) | st.floats()
texts: Strategy = st.sampled_from(TEXTS) | st.text(max_size=8)
scalars: Strategy = st.none() | st.booleans() | numbers | texts
keys: Strategy = st.sampled_from(KEYS) | st.text(max_size=4)


def _wild(chance: random.Random, depth: int = 0) -> Any:
    """A value of any type; deeper ones are simpler."""
    shape = chance.random() * (1 if depth < 4 else 0.6)
    if shape < 0.25:
        return chance.choice(NUMBERS)
    if shape < 0.5:
        return chance.choice(TEXTS)
    if shape < 0.6:
        return chance.choice((None, True, False, chance.randint(-3, 300), chance.uniform(-1, 3)))
    if shape < 0.75:
        return [_wild(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    return _wild_table(chance, depth)


def _wild_table(chance: random.Random, depth: int = 0) -> dict[str, Any]:
    count = chance.randint(0, 5)
    return {chance.choice(KEYS): _wild(chance, depth + 1) for _ in range(count)}


# Drawn value by value they would take ten times as long.
_chances = st.integers(0, 2**63).map(random.Random)
trees: Strategy = _chances.map(_wild)
tables: Strategy = _chances.map(_wild_table)


_renamed = keys | st.none()


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to every value inside of a tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in inner:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


def _deep(value: Any) -> Any:
    for _ in range(40):
        value = [value]
    return value


def _other_case(value: Any) -> Any:
    return value.swapcase() if isinstance(value, str) else str(value)


def _letters(value: Any) -> Any:
    return list(value) if isinstance(value, str | dict) else str(value)


def _many(value: Any) -> Any:
    few = value if isinstance(value, list) and value else [value]
    simple = not any(isinstance(it, dict | list) for it in few)
    return few * (4097 if simple else 65 if len(places(few)) > 9 else 1001)


def _larger(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value * 1000 + 1 if number else [value, value]


CHANGES: dict[str, Callable[[Any], Any]] = {
    "wrapped": lambda value: [value],
    "named": lambda value: {"value": value},
    "deep": _deep,
    "other case": _other_case,
    "letters": _letters,
    "many": _many,
    "larger": _larger,
    "negative": lambda value: -value if isinstance(value, int | float) else -1,
    "text": lambda value: str(value)[:2000],
    "long": lambda value: f"{value!s:.100}" * 500,
    "control": lambda value: f"{value!s:.100}\x1b[2J\n\x00",
    "empty": lambda value: type(value)() if isinstance(value, str | list | dict) else None,
    "whole": lambda value: float(value) if type(value) is int else value,
    "bool": bool,
}


_ways = st.sampled_from(("odd", "odd", "gone", "extra", "renamed", *CHANGES))
_damages = st.sampled_from(("flip", "set", "cut", "drop", "twice", "insert", "field", "line"))
_bits, _byte, _bytes = st.integers(0, 7), st.binary(min_size=1, max_size=1), st.binary(max_size=6)
_fields = st.tuples(
    st.sampled_from((2, 4, 8)),
    st.sampled_from((0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63)),
    st.sampled_from(("big", "little")),
)
_stretch = st.integers(1, 64)


def changed(draw: Draw, tree: Any) -> Any:
    """Return a tree of which one thing is other than it was."""
    made = copy.deepcopy(tree)
    found = places(made)
    path = found[draw(st.integers(0, len(found) - 1))]
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    last = path[-1]
    how = draw(_ways)
    if how == "odd":
        inner[last] = draw(scalars)
    elif how == "gone":
        del inner[last]
    elif how == "extra" and isinstance(inner, dict):
        inner[draw(keys)] = draw(scalars)
    elif how == "renamed" and isinstance(inner, dict):
        name = draw(_renamed)
        inner[str(last).swapcase() if name is None else name] = inner.pop(last)
    else:
        inner[last] = CHANGES.get(how, CHANGES["many"])(inner[last])
    return made


def bytes_of(tree: Any, ending: str) -> bytes:
    """Return a tree as a file has it; what neither form can hold is written as Python shows it."""
    try:
        text = to_toml(tree) if ending == ".toml" else json.dumps(tree, indent=1, default=str)
    except (TypeError, AttributeError):
        text = repr(tree)
    return text.encode("utf-8", "surrogatepass")


def damaged(draw: Draw, data: bytes) -> bytes:
    """Return the bytes of a file of which one thing is other than it was."""
    size = len(data)
    at = draw(st.integers(0, max(size - 1, 0)))
    how = draw(_damages)
    if how == "line":
        lines = data.split(b"\n")
        number = draw(st.integers(0, len(lines) - 1))
        return b"\n".join([*lines[: number + 1], *lines[number:]])
    head, tail = data[:at], data[at:]
    if how == "field":
        wide, value, order = draw(_fields)
        return head + (value % 2 ** (8 * wide)).to_bytes(wide, order) + tail[wide:]
    end = draw(_stretch)
    return {
        "flip": lambda: head + bytes([it ^ (1 << draw(_bits)) for it in tail[:1]]) + tail[1:],
        "set": lambda: head + draw(_byte) + tail[1:],
        "cut": lambda: head,
        "insert": lambda: head + draw(_bytes) + tail,
        "twice": lambda: head + tail[:end] + tail,
        "drop": lambda: head + tail[end:],
    }[how]()
