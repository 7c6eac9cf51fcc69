"""Token economy: how much faster a step is without reference tokens, or with only some of them.

    python benchmarks/tokens.py [--blocks 2] [--side 24] [--references 1,2,3] [--device cuda]
                                [--json benchmarks/results/tokens.json]

A step of the stock pipeline with 1 to 3 references, over one of an edit whose references give no
tokens (``inject``, ``concat``, strength 0), or lose a share of them to a ``content`` mask. The
bound is computed from the stock model: the time of all but attention, and the time of attention
alone, each measured at the numbers of tokens before and after. ``predicted`` is the ratio that
``refhooks plan --cost`` would print. All cases are run in turn, in an order that rotates; figures
are medians round by round, with their spread. Goal: 88 % of the bound.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _wide
import attrs

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL = 0.88
DROPPED = (0.25, 0.5, 0.75, 0.9)


def masked(dropped: float) -> rh.Strategy:
    """Return native tokens, of which a content mask hides a share."""
    return rh.Strategy("default", masks=[rh.mask(f"0%,0%,100%,{1 - dropped:.0%}", kind="content")])


def strategies() -> dict[str, rh.Strategy]:
    """Return what is compared with the stock pipeline, by name."""
    whole = {
        "inject": rh.Strategy("inject"),
        "concat": rh.Strategy(rh.method("concat", tied=True)),
        "strength 0": rh.Strategy(rh.Stage("default", 0.0)),
    }
    return whole | {f"content mask, {share:.0%} dropped": masked(share) for share in DROPPED}


def measured(bench: _wide.Bench, references: int, repeats: int) -> list[dict[str, Any]]:
    """Return a row for each strategy with so many references."""
    given = {name: [strategy] * references for name, strategy in strategies().items()}
    kept = {}
    for name, each in given.items():
        bench.edit(each)
        kept[name] = bench.seen
    whole = bench.scale.tokens * (1 + references)
    calls: dict[str, Callable[[], float]] = {"stock": lambda: bench.stock(references)}
    calls |= {name: lambda it=it: bench.edit(it) for name, it in given.items()}
    for image in {whole, *kept.values()}:
        total = image + bench.scale.text
        calls[f"linear {image}"] = lambda it=image: bench.linear_seconds(it)
        calls[f"attention {image}"] = lambda it=total: bench.attention_seconds(it, it)
    found = _wide.interleaved(calls, repeats)

    def parts(image: int) -> float:
        return sum(statistics.median(found[f"{part} {image}"]) for part in ("linear", "attention"))

    rows = []
    for name, each in given.items():
        faster, bound = _wide.over(found, "stock", name), parts(whole) / parts(kept[name])
        rows.append(
            {
                "references": references,
                "case": name,
                "image tokens": [whole, kept[name]],
                "stock seconds": _wide.spread(found["stock"]),
                "faster": faster,
                "bound": bound,
                "share of the bound": faster["median"] / bound,
                "predicted": 1 / bench.predicted(each).over_native,
                "parts / stock": parts(whole) / statistics.median(found["stock"]),
            }
        )
    return rows


def main() -> None:
    """Print the figures, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _wide.add_options(parser, blocks=2, side=24, text=64)
    parser.add_argument("--references", default="1,2,3")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scale = _wide.scale_of(arguments)
    bench = _wide.Bench(scale)
    rows = []
    for references in map(int, arguments.references.split(",")):
        for row in measured(bench, references, arguments.repeats):
            rows.append(row)
            print(_line(row), flush=True)
    if arguments.json:
        _wide.write_json({"goal": GOAL, "scale": attrs.asdict(scale), "rows": rows}, arguments.json)


def _line(row: dict[str, Any]) -> str:
    faster = row["faster"]
    return (
        f"{row['references']} references, {row['case']}: {faster['median']:.2f} times as fast"
        f" ({faster['lowest']:.2f} to {faster['highest']:.2f}), bound {row['bound']:.2f},"
        f" share {row['share of the bound']:.1%} (goal {GOAL:.0%}),"
        f" predicted {row['predicted']:.2f}"
    )


if __name__ == "__main__":
    main()
