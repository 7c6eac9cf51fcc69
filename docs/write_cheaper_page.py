"""Write the tables of docs/cheaper.md and docs/auto-mask.md, from benchmarks/results.

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
PAGES = (DOCS / "cheaper.md", DOCS / "auto-mask.md")
RESULTS = DOCS.parent / "benchmarks" / "results"
MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SCALES = {  # as they are written, by what the benchmark calls them
    "off": "1", "from .25": "0.25@2", "from .5": "0.5@2", "from .75": "0.75@2",
    "until .5": "0@2,0.5@1", "until .25": "0@2,0.25@1", ".25 to .75": "0.25@2,0.75@1",
}  # fmt: skip


MEASURES = {
    "done_ciede2000": "*done*, CIEDE2000",
    "done_ssim": "*done*, SSIM",
    "kept_ssim": "*kept*, SSIM",
    "kept_ciede2000": "*kept*, ΔE00",
}


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


AUTO = {  # as the page calls them, by what the benchmark does
    "auto_mask": "`auto_mask`",
    "auto_mask, all computed": "`auto_mask:compute=all`",
    "auto_mask, reuse 7": "`auto_mask:reuse=7`",
    "right": '`compute="inside"`, the right mask',
    "keep_pixels": "`keep_pixels`",
    "auto_mask and keep_pixels": "`auto_mask` and `keep_pixels`",
}
CACHES = {
    "FBCache .2": "fbcache", "FBCache .05": "fbcache:threshold=0.05", "TaylorSeer 5": "taylorseer",
}  # fmt: skip
PEERS = {
    "whole": "everything, as stock",
    "FBCache .2": "stock, FBCache at .2, as documented",
    "FBCache .05": "stock, FBCache at .05",
    "TaylorSeer 5": "stock, TaylorSeer at 5, 1, 3, as documented",
    "from .5": "guidance in the last half",
    "auto_mask": "`auto_mask`",
    "auto_mask, reuse 7, from .5": "both, with `reuse=7`",
}


def auto(found: dict[str, Any]) -> str:
    """Return what a mask that finds itself keeps, and costs, of local edits at eight steps."""
    heads = ("way", "edits", "tokens", *MEASURES.values())
    rows = []
    for name, told in AUTO.items():
        cell = found["cells"].get(f"{name}, local")
        if cell is not None:
            area = "–" if "reuse" in name else f"{cell['area']:.2f}"
            rows.append((told, cell["edits"], area, *[_to_plain(cell[it]) for it in MEASURES]))
    return _table(heads, rows) + "\n" + _left_alone(found["cells"])


def _left_alone(cells: dict[str, Any]) -> str:
    """How many whole edits were left alone, and which local ones were."""
    whole, local = (cells[f"auto_mask, {group}"] for group in ("whole", "local"))
    kinds = {kind: edits - acted for kind, (acted, edits) in local["by_kind"].items()}
    missed = ", ".join(f"{count} of {kind}" for kind, count in kinds.items() if count) or "none"
    return (
        f"{whole['edits'] - whole['acted_on']} of {whole['edits']} whole-picture edits were left"
        f" alone, and of {local['edits']} local ones: {missed}.\n"
    )


def caches(found: dict[str, Any]) -> str:
    """Return what step caches cost."""
    heads = ("cache", "steps", "edits", "passes through all blocks", "*done*", "to none", "*kept*",
             "to none")  # fmt: skip
    rows = []
    for name, told in CACHES.items():
        for steps in (8, 28):
            cell = found["cells"].get(f"{steps} steps, {name}")
            if cell is not None:
                done, lead, kept = _lead(cell)
                mean, low, high = cell["kept"]["difference"]
                more = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
                share = f"{cell['computed']:.2f}"
                rows.append((f"`{told}`", steps, cell["edits"], share, done, lead, kept, more))
    return _table(heads, rows)


def peers(found: dict[str, Any]) -> str:
    """Return speed, edit done and kept at 28 steps."""
    speed = json.loads((RESULTS / "cheaper_speed.json").read_text(encoding="utf-8"))["cells"]
    heads = ("way", "times as fast", "passes through all blocks: there", "on the embedded model",
             "*done*", "to everything", "*kept*")  # fmt: skip
    rows = []
    for name, told in PEERS.items():
        own, cell = speed[name], found["cells"][f"28 steps, {name}"]
        shares = [f"{it['computed']:.2f}" for it in (own, cell)]
        rows.append((told, f"{own['times as fast']:.2f}", *shares, *_lead(cell)))
    return _table(heads, rows)


def _to_plain(part: dict[str, Any]) -> str:
    mean, low, high = part["difference"]
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


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
    made = {
        "guidance": (guidance, "cheaper_quality"), "auto": (auto, "auto_mask"),
        "peers": (peers, "cheaper_quality"), "caches": (caches, "cheaper_quality"),
    }  # fmt: skip

    def table(match: re.Match[str]) -> str:
        write, name = made[match[2]]
        found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        return match[1] + write(found) + match[3]

    return MARKED.sub(table, text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
