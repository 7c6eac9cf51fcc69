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
LOCAL_PAGE = DOCS / "local-tables.md"
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
    off = [row["predicted"] / row["faster"]["median"] - 1.0 for row in found["rows"]]
    return (
        _about(found)
        + _medians(
            (row["case"], row["references"], row["faster"]["median"]) for row in found["rows"]
        )
        + f"\nThat is {min(shares):.0%} to {max(shares):.0%} of the bound; `plan --cost` is"
        f" {min(off):+.0%} to {max(off):+.0%} off.\n"
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


def local(found: list[dict[str, Any]]) -> str:
    """Return how much faster local edits are than stock, beside the limits by operations."""
    rows = []
    for result in found:
        for cell in result["cells"]:
            both = (cell["all references"], cell["reuse 7"])
            figures = [
                part
                for it in both
                for part in (
                    f"{it['times as fast']:.2f}",
                    f"{it['limit']:.2f}",
                    f"{it['share']:.0%}",
                )
            ]
            side, share = result["scale"]["side"], f"{cell['share']} %"
            rows.append((str(side**2), share, str(cell["references"]), *figures))
    heads = (
        "tokens", "may change", "references", "`inside`", "limit", "of it", "`reuse=7`", "limit",
        "of it",
    )  # fmt: skip
    return _table(heads, rows)


def local_large(found: list[dict[str, Any]]) -> str:
    """Return the rows of the largest pictures alone."""
    return local([result for result in found if result["scale"]["side"] == 64])


def local_quality_short(found: dict[str, Any]) -> str:
    """Return what is lost of *done* alone, and whether all holds."""
    head, rule, *rows = local_quality(found).split("\n\n")[0].splitlines()
    kept = [line.split("|") for line in (head, rule, *rows)]
    return "".join("|".join([*it[:3], *it[4:6], *it[8:]]) + "\n" for it in kept)


def local_memory(found: dict[str, Any]) -> str:
    """Return the most memory that lives at once in local edits, over that of stock."""
    rows = [
        (str(it["references"]), "`reuse=7`" if it["way"] == "reuse" else "`inside`",
         f"{it['own'] / it['stock']:.2f}", f"{(it['own'] + it['kept']) / it['stock']:.2f}")
        for it in found["memory"]
    ]  # fmt: skip
    return _table(("references", "computed", "of stock's peak", "with what is kept"), rows)


def local_quality(found: dict[str, Any]) -> str:
    """Return what a local edit loses where only its inside is computed."""
    rows = []
    side = round(found["area"] ** 0.5 * 1024)
    for name, cell in found["cells"].items():
        steps, _, way = name.partition(" steps, ")
        if cell["edits"] < ENOUGH or way == "all":
            continue
        options = dict(pair.split(" ") for pair in way.split(", ") if pair != "inside")
        compute = rh.Inside(**{option: int(value) for option, value in options.items()})
        cost = rh.cost("default", int(steps), edit_mask=f"0,0,{side},{side}", compute=compute)
        leads = [cell[measure]["difference"] for measure in ("done", "kept", "seam")]
        within = leads[0][1] > -0.02 and max(leads[1][2], leads[2][2]) < 0.005
        rows.append(
            (steps, way, str(cell["edits"]), f"{1 / cost.over_native:.2f}",
             *map(_lead, leads), "yes" if within else "no")
        )  # fmt: skip
    heads = (
        "steps",
        "computed",
        "edits",
        "times fewer operations",
        "done",
        "kept",
        "seam",
        "holds",
    )
    kinds = sorted(found["by_kind"].items(), key=lambda it: it[1])
    worst = min(found["cells"]["8 steps, inside"]["worst"], key=lambda it: it[1] - it[2])
    return (
        _table(heads, rows)
        + f"\nOf the kinds, `{kinds[0][0]}` loses most with `inside` ({kinds[0][1]:+.3f} of *done*"
        f" on average), `{kinds[-1][0]}` least ({kinds[-1][1]:+.3f}); the worst single edit at 8"
        f" steps lost {worst[2] - worst[1]:.2f}.\n"
    )


def _lead(difference: Sequence[float]) -> str:
    mean, low, high = difference
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


ENOUGH = 100  # edits in a cell of the table of local edits
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    table.__name__: table
    for table in (
        overhead, same_work, tokens, reuse, attention, scaling, gpu, local_quality, local_cost,
        local, local_memory,
    )
}  # fmt: skip
SHORT = {
    "tokens": tokens_medians, "reuse": reuse_medians, "attention": attention_range,
    "local": local_large, "local_quality": local_quality_short,
}  # fmt: skip
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
LOCAL_INTRODUCTION = """# Local edits: every figure

<!-- written by `python docs/write_speed_tables.py`; a test compares it -->

The tables behind [speed](speed.md#where-only-a-part-may-change), which says what is measured and
how. `tokens` are those of the output; `limit` is by operations, as `plan --cost` counts. But
for the first row, a run is put together from one step of each kind. The goal is 88 % of the
limit; the two below it have one reference and few tokens, and meet it with 4096 tokens.
"""
LOCAL_SECTIONS = {
    "local": "Seconds, against stock",
    "local_memory": "Memory, against stock",
    "local_quality": "Quality, against all tokens",
}


def with_tables(text: str) -> str:
    """Return docs/speed.md with each table as its result file says."""
    return MARKED.sub(lambda match: match[1] + _short(match[2]) + match[3], text)


def tables_page() -> str:
    """Return docs/speed-tables.md."""
    measured = {name: title for name, title in SECTIONS.items() if _place(name).exists()}
    parts = (f"\n## {title}\n\n{TABLES[name](_found(name))}" for name, title in measured.items())
    return INTRODUCTION + "".join(parts)


def local_page() -> str:
    """Return docs/local-tables.md."""
    titles = LOCAL_SECTIONS.items()
    parts = (f"\n## {title}\n\n{TABLES[name](_found(name))}" for name, title in titles)
    return LOCAL_INTRODUCTION + "".join(parts)


def _short(name: str) -> str:
    return SHORT.get(name, TABLES[name])(_found(name))


def _found(name: str) -> Any:
    if name == "local_cost":
        return None  # counted, not measured
    if name == "local":
        return [json.loads(_place(it).read_text("utf-8")) for it in ("local-main", "local-5", name)]
    return json.loads(_place(name).read_text(encoding="utf-8"))


def _place(name: str) -> Path:
    return RESULTS / f"{name.replace('_', '-') if name == 'local_memory' else name}.json"


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
    LOCAL_PAGE.write_text(local_page(), encoding="utf-8")
