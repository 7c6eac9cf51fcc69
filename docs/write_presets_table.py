"""Write the table of shipped presets into docs/presets.md."""

from __future__ import annotations

from pathlib import Path

import refhooks as rh

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
    """Return the table in Markdown."""
    rows = []
    for name in sorted(rh.load_registry().presets):
        held = rh.preset(name)
        stages = held.strategy.stages
        methods = ", then ".join(f"`{_method(stage.method)}`" for stage in stages)
        strengths = " then ".join(_strength(it.strength, held.strength_range) for it in stages)
        rows.append(
            f"| `{name}` | {methods} | {strengths} |"
            f" {_cell(held.denoise, held.denoise_range)} | {'yes' if held.measured else 'no'} |"
            f" {held.source} |"
        )
    head = ["| preset | method | strength | denoise | measured | source |", "| --- " * 6 + "|"]
    return "\n".join([*head, *rows]) + "\n"


def with_table(text: str) -> str:
    """Return the page with its table replaced."""
    start, stop = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:start] + table() + text[stop:]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
