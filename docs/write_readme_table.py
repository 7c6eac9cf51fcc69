"""Write the README's table of shipped plugins from the registry.

    python docs/write_readme_table.py

The first line of a plugin's docstring is its description.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from pathlib import Path

import refhooks as rh

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "a test compares it -->\n", "<!-- end of plugins -->"


def table() -> str:
    """Return the table in Markdown."""
    modules = {point.name: point.value for point in entry_points(group="refhooks")}
    rows = [
        f"| `{record.name}` | {', '.join(f'`{entry}`' for entry in record.registers)} |"
        f" {importlib.import_module(modules[record.name]).__doc__.splitlines()[0]} |"
        for record in rh.load_registry().records
        if record.distribution == "refhooks"
    ]
    return "\n".join(["| plugin | registers | what it is |", "| --- | --- | --- |", *rows]) + "\n"


def with_table(text: str) -> str:
    """Return the README with its table replaced."""
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:start] + table() + text[stop:]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
