"""Write the tables of shipped presets into docs/presets.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parent / "presets.md"
BEGIN, END = "a test compares it -->\n", "<!-- end of presets -->"


def _cell(value: float | None, held: tuple[float, float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if held is None else f"{value:g} ({held[0]:g}–{held[1]:g})"


def _strength(value: object, held: tuple[float, float] | None) -> str:
    """A number with the range that it is from, or a schedule, in short if it has a short form."""
    if isinstance(value, float):
        return _cell(value, held)
    return f"`{value}`" if isinstance(value, str) else "over the steps"


def _method(method: str | rh.Method) -> str:
    return method if isinstance(method, str) else method.name


def table() -> str:
    """Return the tables in Markdown: what holds on the embedded model, then what does not."""
    presets = [rh.preset(name) for name in sorted(rh.load_registry().presets)]
    return "\n".join([
        "These hold on the embedded model:\n",
        _rows([entry for entry in presets if entry.measured]),
        "## Published advice, not shown to hold there\n",
        _rows([entry for entry in presets if not entry.measured]),
    ])  # fmt: skip


def _rows(presets: Sequence[rh.Preset]) -> str:
    rows = []
    for entry in presets:
        stages = entry.strategy.stages
        methods = ", then ".join(f"`{_method(stage.method)}`" for stage in stages)
        strengths = " then ".join(_strength(it.strength, entry.strength_range) for it in stages)
        rows.append(
            f"| `{entry.name}` | {methods} | {strengths} |"
            f" {_cell(entry.denoise, entry.denoise_range)} | {entry.source} |"
        )
    head = ["| preset | method | strength | denoise | measured |", "| --- " * 5 + "|"]
    return "\n".join([*head, *rows]) + "\n"


def with_table(text: str) -> str:
    """Return the page with its table replaced."""
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:start] + table() + text[stop:]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
