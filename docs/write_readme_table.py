"""Write the README's table of shipped plugins from the registry.

    python docs/write_readme_table.py

The first line of a plugin's docstring is its description; two backticks become one.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import refhooks as rh
from refhooks._apps.forecast.marks import mark_of

if TYPE_CHECKING:
    from collections.abc import Sequence

README = Path(__file__).parents[1] / "README.md"
MANY = 12  # names in one row; `refhooks plugins` lists more
BEGIN, END = "a test compares it -->\n", "<!-- end of plugins -->"


def table() -> str:
    """Return the table in Markdown: two columns, since a phone has no room for more."""
    modules = {point.name: point.value for point in entry_points(group="refhooks")}
    rows = [
        f"| `{record.name}` |"
        f" {_first_line(modules[record.name])}"
        f" {_registered(record.name, record.registers)}{_marked(record.registers)}|"
        for record in rh.load_registry().records
        if record.distribution == "refhooks"
    ]
    return "\n".join(["| plugin | what it is, and registers |", "| --- | --- |", *rows]) + "\n"


def _first_line(module: str) -> str:
    return importlib.import_module(module).__doc__.splitlines()[0].replace("``", "`")


def _registered(plugin: str, entries: Sequence[str]) -> str:
    """Return what it registers by kind, without a method of the plugin's own name."""
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kind, _, name = entry.partition(" ")
        if entry != f"method {plugin}":
            kinds.setdefault(kind, []).append(f"`{name}`")
    return "".join(f"*{kind}*: {_names(names)}. " for kind, names in kinds.items())


def _marked(entries: Sequence[str]) -> str:
    """Return what was measured of its method as it is by default; `refhooks methods` has more."""
    registry = rh.load_registry()
    names = [name for kind, _, name in (it.partition(" ") for it in entries) if kind == "method"]
    return "".join(f"*mark*: {mark_of(registry.method(it), registry).status}. " for it in names)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= MANY else f"{len(names)} of them"


def with_table(text: str) -> str:
    """Return the README with its table replaced."""
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:start] + table() + text[stop:]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
