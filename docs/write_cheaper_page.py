"""Write the tables of docs/cheaper.md, from benchmarks/results.

    python docs/write_cheaper_page.py

What has no figures is left out.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DOCS = Path(__file__).parent
PAGE = DOCS / "cheaper.md"
RESULTS = DOCS.parent / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SCALES = {  # as they are written, by what the benchmark calls them
    "off": "1", "from .25": "0.25@2", "from .5": "0.5@2", "from .75": "0.75@2",
    "until .5": "0@2,0.5@1", "until .25": "0@2,0.25@1", ".25 to .75": "0.25@2,0.75@1",
}  # fmt: skip


def guidance(found: dict[str, Any]) -> str:
    """Return what guidance in a part of eight steps costs."""
    heads = ("`cfg`", "times fewer operations", "edits", "*done*", "to 2 at every step", "*kept*")
    rows = []
    for name, cfg in SCALES.items():
        cell = found["cells"].get(f"8 steps, {name}")
        if cell is not None:
            faster = 2.0 if name == "off" else 1.0 / rh.cost("default", 8, cfg=cfg).over_native
            rows.append((f"`{cfg}`", f"{faster:.2f}", cell["edits"], *_lead(cell)))
    return _table(heads, rows)


def _lead(cell: dict[str, Any]) -> tuple[str, str, str]:
    mean, low, high = cell["done"]["difference"]
    return (
        f"{cell['done']['mean']:.3f}",
        f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
        f"{cell['kept']['mean']:.4f}",
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def with_tables(text: str) -> str:
    """Return the page with the tables of what was measured."""
    found = json.loads((RESULTS / "cheaper_quality.json").read_text(encoding="utf-8"))
    made = {"guidance": guidance}
    return MARKED.sub(lambda match: match[1] + made[match[2]](found) + match[3], text)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
