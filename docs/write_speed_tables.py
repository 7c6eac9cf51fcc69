"""Write the tables of docs/speed.md from benchmarks/results.

    python docs/write_speed_tables.py

What has no result file yet says so, with the command that makes it.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE = Path(__file__).parent / "speed.md"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
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


def tokens(found: dict[str, Any]) -> str:
    """Return how much faster a step is without reference tokens."""
    rows = [
        (
            str(row["references"]),
            row["case"],
            _spread(row["faster"]),
            f"{row['bound']:.2f}",
            f"{row['share of the bound']:.0%}",
            f"{row['predicted']:.2f}",
        )
        for row in found["rows"]
    ]
    heads = ("references", "strategy", "faster than stock", "bound", "share of it", "`plan --cost`")
    return _about(found) + _table(heads, rows)


def reuse(found: dict[str, Any]) -> str:
    """Return what reusing keys and values saves."""
    rows = [
        (
            str(case["references"]),
            f"a run of {found['steps']} steps, {_interval(name)}" if name else "a step that reuses",
            _spread(faster),
            f"{bound['median']:.2f}",
            f"{share['median']:.0%}",
        )
        for case in found["cases"]
        for name, faster, bound, share in _reused(case)
    ]
    heads = ("references", "what", "faster than stock", "bound", "share of it")
    return _about(found) + _table(heads, rows)


def _reused(case: dict[str, Any]) -> list[tuple[str, Any, Any, Any]]:
    keys = ("times as fast as stock", "bound", "share of the bound")
    step = ("", *(case[f"loaded: {key}"] for key in keys))
    return [step, *((name, *(run[key] for key in keys)) for name, run in case["runs"].items())]


def _interval(name: str) -> str:
    return f"reuse {name}" if name == "once" else f"reuse every {name}"


def attention(found: dict[str, Any]) -> str:
    """Return what merged attention costs."""
    rows = [
        (
            row["dtype"],
            f"{row['heads']} × {row['head']}",
            str(row["tokens"]),
            str(row["references"]),
            "compiled" if row["compiled"] else "eager",
            _spread(row["merged / stock"]),
            f"{row['mask / merged']['median']:.2f}",
        )
        for row in found["cases"]
    ]
    heads = ("dtype", "heads", "tokens", "references", "", "merged / stock", "mask / merged")
    return _table(heads, rows)


def scaling(found: dict[str, Any]) -> str:
    """Return the curves."""
    rows = [
        (
            row["curve"],
            str(row["at"]),
            row["case"],
            f"{row['measured']:.2f}",
            f"{row['predicted']:.2f}",
            f"{row['peak bytes'] / 2**20:.0f}",
        )
        for row in found["rows"]
    ]
    heads = ("curve", "at", "run", "time, measured", "predicted", "peak MiB")
    return _about(found) + _table(heads, rows)


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


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    table.__name__: table for table in (overhead, same_work, tokens, reuse, attention, scaling, gpu)
}


def with_tables(text: str) -> str:
    """Return the page with each table as its result file says."""
    return MARKED.sub(lambda match: match[1] + _made(match[2]) + match[3], text)


def _made(name: str) -> str:
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return (
            f"Not measured yet: `python benchmarks/{name}.py --json"
            f" benchmarks/results/{name}.json`.\n"
        )
    return TABLES[name](json.loads(path.read_text(encoding="utf-8")))


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


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
