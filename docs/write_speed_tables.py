"""Write the tables of docs/speed.md, and all of docs/speed-tables.md, from benchmarks/results.

    python docs/write_speed_tables.py

The first has medians, the second every figure. What has no result file is left out.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DOCS = Path(__file__).parent
PAGE, TABLES_PAGE = DOCS / "speed.md", DOCS / "speed-tables.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
COMPILED = (False, True)
MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def overhead(found: dict[str, Any]) -> str:
    """Return host time in the façade, and whole edits over stock."""
    rows = [(name, f"{value:.3f}") for name, value in found["facade_ms_per_step"].items()]
    ratios = found["edit_over_stock"]
    return (
        _table(("strategy", "ms a step in the façade"), rows)
        + f"\nA whole edit over the stock pipeline's: {statistics.median(ratios):.3f}"
        f" ({min(ratios):.3f} to {max(ratios):.3f} in {len(ratios)} pairs).\n"
    )


def same_work(found: dict[str, Any]) -> str:
    """Return what stock and edits ask of the device."""
    base = found["figures"]["stock"]["peak bytes"]
    rows = [
        (
            name,
            str(sum(figures["operators"].values()) - figures["operators"].get("aten::expand", 0)),
            str(sum(figures["large copies"].values())),
            str(figures["waits"]),
            f"{figures['peak bytes'] / base:.4f}",
        )
        for name, figures in found["figures"].items()
    ]
    heads = ("run", "operators", "copies as large as the latents", "waits", "peak memory of stock")
    return _table(heads, rows)


def tokens_medians(found: dict[str, Any]) -> str:
    """Return how much faster a step is, by the number of references."""
    shares = [row["share of the bound"] for row in found["rows"]]
    return (
        _about(found)
        + _medians(
            (row["case"], row["references"], row["faster"]["median"]) for row in found["rows"]
        )
        + f"\nThat is {min(shares):.0%} to {max(shares):.0%} of the bound.\n"
    )


def tokens(found: dict[str, Any]) -> str:
    """Return how much faster a step is without reference tokens."""
    heads = ("strategy", "faster than stock", "bound", "share of it", "`plan --cost`")
    rows = (
        (
            _references(row["references"]),
            (
                row["case"],
                _spread(row["faster"]),
                f"{row['bound']:.2f}",
                f"{row['share of the bound']:.0%}",
                f"{row['predicted']:.2f}",
            ),
        )
        for row in found["rows"]
    )
    return _about(found) + _parts(heads, rows)


def reuse_medians(found: dict[str, Any]) -> str:
    """Return how much faster reuse is, by the number of references."""
    return _about(found) + _medians(
        (_reuse_name(found, name), case["references"], faster["median"])
        for case in found["cases"]
        for name, faster, _, _ in _reused(case)
    )


def reuse(found: dict[str, Any]) -> str:
    """Return what reusing keys and values saves."""
    heads = ("what", "faster than stock", "bound", "share of it")
    rows = (
        (
            _references(case["references"]),
            (
                _reuse_name(found, name),
                _spread(faster),
                f"{bound['median']:.2f}",
                f"{share['median']:.0%}",
            ),
        )
        for case in found["cases"]
        for name, faster, bound, share in _reused(case)
    )
    return _about(found) + _parts(heads, rows)


def _reused(case: dict[str, Any]) -> list[tuple[str, Any, Any, Any]]:
    keys = ("times as fast as stock", "bound", "share of the bound")
    step = ("", *(case[f"loaded: {key}"] for key in keys))
    return [step, *((name, *(run[key] for key in keys)) for name, run in case["runs"].items())]


def _reuse_name(found: dict[str, Any], name: str) -> str:
    if not name:
        return "a step that reuses"
    interval = "once" if name == "once" else f"every {name}"
    return f"{found['steps']} steps, reuse {interval}"


def attention(found: dict[str, Any]) -> str:
    """Return what merged attention costs."""
    heads = ("tokens", "references", "eager", "compiled", "mask / merged")
    cases: dict[tuple[str, int, int], dict[bool, Any]] = {}
    for case in found["cases"]:
        part = f"{case['dtype']}, {case['heads']} heads of {case['head']}"
        key = (part, case["tokens"], case["references"])
        cases.setdefault(key, {})[case["compiled"]] = case
    rows = (
        (
            part,
            (
                str(tokens),
                str(references),
                *(_spread(ways[how]["merged / stock"]) if how in ways else "" for how in COMPILED),
                ", ".join(f"{way['mask / merged']['median']:.2f}" for way in ways.values()),
            ),
        )
        for (part, tokens, references), ways in cases.items()
    )
    return "Merged over stock, eager and compiled; then a float mask over merged.\n\n" + _parts(
        heads, rows
    )


def attention_range(found: dict[str, Any]) -> str:
    """Return what merged attention costs, at the least and at the most."""
    ratios = [case["merged / stock"]["median"] for case in found["cases"]]
    return (
        f"Time over that of the stock attention: {min(ratios):.2f} to {max(ratios):.2f} in"
        f" {len(ratios)} cases.\n"
    )


def scaling(found: dict[str, Any]) -> str:
    """Return the curves."""
    heads = ("at", "run", "time", "predicted", "peak MiB")
    rows = (
        (
            f"By {row['curve']}",
            (
                str(row["at"]),
                row["case"],
                f"{row['measured']:.2f}",
                f"{row['predicted']:.2f}",
                f"{row['peak bytes'] / 2**20:.0f}",
            ),
        )
        for row in found["rows"]
    )
    return _about(found) + _parts(heads, rows)


def gpu(found: dict[str, Any]) -> str:
    """Return the full-size model's table."""
    rows = [
        (
            row["case"],
            str(row["references"]),
            "compiled" if row["compiled"] else "eager",
            f"{row['seconds']['median']:.3g}",
            _spread(row["faster"]),
            f"{row['predicted']:.2f}",
            f"{row['share of the limit']:.0%}",
            f"{row['TFLOP/s']:.0f}",
            f"{row['share of matmul']:.0%}",
        )
        for row in found["rows"].values()
    ]
    heads = (
        "strategy", "references", "", "seconds a step", "faster than stock", "FLOP limit",
        "share of it", "TFLOP/s", "of matmul",
    )  # fmt: skip
    return _about(found) + _table(heads, rows)


def local_cost(_found: object) -> str:
    """Return what a local edit of 1 MP saves by operations, as ``refhooks.cost`` counts them."""
    ways = {
        "`inside`": rh.Inside(),
        "`reuse=4`": rh.Inside(reuse=4),
        "`reuse=7`": rh.Inside(reuse=7),
        "`reuse=7, near=1`": rh.Inside(reuse=7, near=1),
    }
    rows = []
    for share, count in ((5, 1), (10, 1), (25, 1), (50, 1), (10, 2), (10, 3)):
        side = round((share / 100) ** 0.5 * 64) * 16  # of 64 tokens, each 16 pixels wide
        mask = rh.mask(box=((1024 - side) // 2, (1024 - side) // 2, side, side))
        costs = [
            rh.cost([rh.Reference("", "default")] * count, 28, edit_mask=mask, compute=way)
            for way in ways.values()
        ]
        saved = [f"{1 / cost.over_native:.2f}" for cost in costs]
        kept = costs[-1].kept_bytes / 2**30
        rows.append((f"{share} %", str(count), *saved, f"{kept:.1f}"))
    return _table(("may change", "references", *ways, "kept, GiB"), rows)


def local_quality(found: dict[str, Any]) -> str:
    """Return what a local edit loses where only its inside is computed."""
    rows = [
        (
            *name.split(", ", 1),
            str(cell["edits"]),
            f"{cell['done']['all']:.3f}",
            f"{cell['done']['mean']:.3f}",
            *(_lead(cell[measure]["difference"]) for measure in ("done", "kept", "seam")),
        )
        for name, cell in found["cells"].items()
        if cell["edits"] >= ENOUGH and not name.endswith(", all")
    ]
    heads = ("steps", "computed", "edits", "done, all", "done", "difference", "kept", "seam")
    return _table(heads, [(row[0].removesuffix(" steps"), *row[1:]) for row in rows])


def _lead(difference: Sequence[float]) -> str:
    mean, low, high = difference
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


ENOUGH = 100  # edits in a cell of the table of local edits
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    table.__name__: table
    for table in (
        overhead, same_work, tokens, reuse, attention, scaling, gpu, local_quality, local_cost,
    )
}  # fmt: skip
SHORT = {"tokens": tokens_medians, "reuse": reuse_medians, "attention": attention_range}
INTRODUCTION = """# Speed: every figure

<!-- written by `python docs/write_speed_tables.py`; a test compares it -->

The tables behind [speed](speed.md), which says what is measured and how. Each figure is the
median, with the lowest and the highest beside it where there is room; times are over those of the
stock pipeline in the same run.
"""
SECTIONS = {
    "tokens": "Token economy",
    "reuse": "Reuse of keys and values",
    "attention": "Weighted attention",
    "scaling": "How it grows",
    "gpu": "The full-size model",
}


def with_tables(text: str) -> str:
    """Return docs/speed.md with each table as its result file says."""
    return MARKED.sub(lambda match: match[1] + _short(match[2]) + match[3], text)


def tables_page() -> str:
    """Return docs/speed-tables.md."""
    measured = {name: title for name, title in SECTIONS.items() if _place(name).exists()}
    parts = (f"\n## {title}\n\n{TABLES[name](_found(name))}" for name, title in measured.items())
    return INTRODUCTION + "".join(parts)


def _short(name: str) -> str:
    return SHORT.get(name, TABLES[name])(_found(name))


def _found(name: str) -> Any:
    if name == "local_cost":
        return None  # counted, not measured
    return json.loads(_place(name).read_text(encoding="utf-8"))


def _place(name: str) -> Path:
    return RESULTS / f"{name}.json"


def _about(found: dict[str, Any]) -> str:
    scale, width = found["scale"], found["scale"]["heads"] * found["scale"]["head"]
    return (
        f"Width {width}, blocks: {scale['blocks']}, {scale['side'] ** 2} tokens of the output and"
        f" of each reference, {scale['text']} of text, {scale['dtype']} on"
        f" {found.get('gpu', scale['device'])}, {found['threads']} threads, torch"
        f" {found['torch']}.\n\n"
    )


def _spread(figure: dict[str, float]) -> str:
    return f"{figure['median']:.2f} ({figure['lowest']:.2f} to {figure['highest']:.2f})"


def _references(count: int) -> str:
    return f"{count} reference" + ("s" if count > 1 else "")


def _medians(figures: Iterable[tuple[str, int, float]]) -> str:
    rows: dict[str, dict[int, str]] = {}
    for name, count, figure in figures:
        rows.setdefault(name, {})[count] = f"{figure:.2f}"
    counts = sorted({count for row in rows.values() for count in row})
    return _table(
        ("faster than stock, with", *(_references(count) for count in counts)),
        [(name, *(row[count] for count in counts)) for name, row in rows.items()],
    )


def _parts(heads: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a table for each part, under its name."""
    parts: dict[str, list[Sequence[str]]] = {}
    for part, row in rows:
        parts.setdefault(part, []).append(row)
    return "\n".join(f"{part}:\n\n{_table(heads, rows)}" for part, rows in parts.items())


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    TABLES_PAGE.write_text(tables_page(), encoding="utf-8")
