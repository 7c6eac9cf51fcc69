"""Writes the table of ``docs/coming-from.md`` on how near ComfyUI's model is, from its result file.

python docs/write_comfyui_table.py
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "coming-from.md"
RESULT = ROOT / "benchmarks" / "results" / "comfyui.json"
START = "<!-- comfyui: written by `python docs/write_comfyui_table.py`; a test compares it -->\n"
END = "<!-- /comfyui -->\n"
ORIGIN = "`origin`"
LIKE = ("none", "even")  # references
OWN = {
    "index": ORIGIN,
    "offset": f'`positions="comfy-offset"`, {ORIGIN}',
    "uxo": f'`positions="comfy-offset"`, {ORIGIN}',
    "negative_index": f'`positions="negative"`, {ORIGIN}',
    "index_timestep_zero": f'`modulate="zero"`, {ORIGIN}',
}


def table(found: dict[str, Any]) -> str:
    """Return the largest difference under each of ComfyUI's methods, and what was compared."""
    rows = found["rows"]
    lines = [
        "| ComfyUI | here | largest difference | as diffusers has it |",
        "| --- | --- | --- | --- |",
    ]
    for method, own in OWN.items():
        mine = [row for row in rows if row["method"] == method]
        near, stock = (max(row[name] for row in mine) for name in ("like ComfyUI", "native"))
        lines.append(f"| `{method}` | {own} | {near:.0e} | {stock:.0e} |")
    same = [
        row["native"]
        for row in rows
        if (row["method"], row["target"]) == ("index", "even") and row["references"] in LIKE
    ]
    rms = max(row["rms"] for row in rows)
    said = (
        f"Of outputs whose RMS is {rms:.2f}: {len(rows)} cells with 0–3 references, even and odd"
        " grids, and references larger than the output, on a tiny random model in float32"
        " (`python benchmarks/comfyui.py TREE`, with a checkout of ComfyUI"
        f" {found['comfyui']}). With `index`, even grids and references no larger than the output,"
        f" the stock way is ComfyUI's ({max(same):.0e})."
    )
    return "\n".join([*lines, "", textwrap.fill(said, 120)]) + "\n"


def with_table(text: str) -> str:
    """Return the page with the table as the result file has it."""
    before, rest = text.split(START)
    _, after = rest.split(END)
    return before + START + table(json.loads(RESULT.read_text("utf-8"))) + END + after


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), encoding="utf-8")
