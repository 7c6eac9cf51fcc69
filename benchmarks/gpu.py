"""The full-size transformer on a GPU: seconds a step of every way to use references.

    python benchmarks/gpu.py [--json benchmarks/results/gpu.json] [--page benchmarks/results/gpu.md]
    python benchmarks/gpu.py --small        the same on a tiny model and a CPU, in seconds

60 blocks, 20.4 billion random weights in bfloat16, 1 to 3 references at 1 MP, eager and compiled
(``compile_repeated_blocks(fullgraph=True)``). Each case runs beside the stock pipeline with as many
references, in turn; ``faster`` is stock over the case, round by round, ``predicted`` what
``refhooks plan --cost`` would print. TFLOP/s are those of the operations that a step needs, over
the seconds it took; their share is that of a large matrix product measured in the same process. A
case that the JSON file holds already is not run again, so the command can be repeated until it is
through.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _wide
import attrs
import torch

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GOAL = 0.88
FULL = _wide.Scale(blocks=60, side=64, dtype="bfloat16", device="cuda")
SMALL = _wide.Scale(blocks=2, side=8, text=16, heads=2, head=16)
REUSE_STEPS = 8


def strategies() -> dict[str, tuple[rh.Strategy, int]]:
    """Return what is measured, by name, with the steps of a run."""
    reuse = {
        f"cross_attn 0.7, reuse {how}": rh.method("cross_attn", reuse=how)
        for how in ("once", "every 4")
    }
    masks = {
        f"content mask, {share:.0%} dropped": rh.Strategy(
            "default", masks=[rh.mask(f"0%,0%,100%,{1 - share:.0%}", kind="content")]
        )
        for share in (0.25, 0.5, 0.75)
    }
    plain = {
        "default": rh.Strategy("default"),
        "inject": rh.Strategy("inject"),
        "concat": rh.Strategy(rh.method("concat", tied=True)),
        "cross_attn 0.7": rh.Strategy(rh.Stage("cross_attn", 0.7)),
        **masks,
    }
    found = {name: (strategy, _wide.STEPS) for name, strategy in plain.items()}
    return found | {
        name: (rh.Strategy(rh.Stage(method, 0.7)), REUSE_STEPS) for name, method in reuse.items()
    }


def matmul_tflops(scale: _wide.Scale, side: int, repeats: int = 20) -> float:
    """Return the TFLOP/s of a large square matrix product, the median."""
    dtype = _wide.DTYPES[scale.dtype]
    one, other = (torch.randn(side, side, dtype=dtype, device=scale.device) for _ in range(2))
    for _ in range(3):
        one @ other
    found = [_wide.once(scale.device, lambda: one @ other) for _ in range(repeats)]
    return 2 * side**3 / statistics.median(found) / 1e12


def measured(
    bench: _wide.Bench, name: str, references: int, repeats: int, peak: float
) -> dict[str, Any]:
    """Return the row of one case."""
    strategy, steps = strategies()[name]
    given = [strategy] * references
    found = _wide.interleaved(
        {"stock": lambda: bench.stock(references), "case": lambda: bench.edit(given, steps)},
        repeats,
    )
    cost = bench.predicted(given, steps)
    seconds, stock = (_wide.spread(found[which]) for which in ("case", "stock"))
    faster = _wide.over(found, "stock", "case")
    tflops = cost.flops / steps / seconds["median"] / 1e12
    return {
        "case": name,
        "references": references,
        "steps": steps,
        "seconds": seconds,
        "stock seconds": stock,
        "faster": faster,
        "predicted": 1 / cost.over_native,
        "share of the limit": faster["median"] * cost.over_native,
        "TFLOP/s": tflops,
        "share of matmul": tflops / peak,
        "stock TFLOP/s": cost.native / stock["median"] / 1e12,
        "peak GiB": bench.peak(lambda: bench.edit(given, steps)) / 2**30,
        "stock peak GiB": bench.peak(lambda: bench.stock(references)) / 2**30,
    }


def page(result: Mapping[str, Any]) -> str:
    """Return the table in Markdown."""
    heads = (
        "case", "references", "compiled", "seconds a step", "stock", "faster", "FLOP limit",
        "share of it", "TFLOP/s", "of matmul",
    )  # fmt: skip
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for row in result["rows"].values():
        faster = row["faster"]
        cells = (
            row["case"], str(row["references"]), "yes" if row["compiled"] else "no",
            f"{row['seconds']['median']:.4g}", f"{row['stock seconds']['median']:.4g}",
            f"{faster['median']:.2f} ({faster['lowest']:.2f} to {faster['highest']:.2f})",
            f"{row['predicted']:.2f}", f"{row['share of the limit']:.0%}",
            f"{row['TFLOP/s']:.3g}", f"{row['share of matmul']:.0%}",
        )  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def run(bench: _wide.Bench, arguments: argparse.Namespace, result: dict[str, Any]) -> bool:
    """Measure what is missing, eager cases first; return whether all is there now."""
    begun = time.monotonic()
    side = 128 if arguments.small else 8192
    peak = result.setdefault("matmul TFLOP/s", matmul_tflops(bench.scale, side))
    names = arguments.cases or list(strategies())
    cases = [(name, count) for count in arguments.references for name in names]
    for compiled in (False, True) if arguments.compile else (False,):
        if compiled:
            torch.compiler.reset()
            bench.pipe.transformer.compile_repeated_blocks(fullgraph=True)
        for name, count in cases:
            key = f"{name}, {count}, {'compiled' if compiled else 'eager'}"
            if key in result["rows"]:
                continue
            if time.monotonic() - begun > 60 * arguments.minutes:
                return False
            row = measured(bench, name, count, arguments.repeats, peak)
            result["rows"][key] = {**row, "compiled": compiled}
            print(f"{key}: {row['seconds']['median']:.4g} s, {row['faster']['median']:.2f}")
            if arguments.json:
                _wide.write_json(result, arguments.json)
    return True


def kept_rows(path: Path | None) -> dict[str, Any]:
    """Return what was measured before, of a file that may not be there."""
    if path is None or not path.exists():
        return {"rows": {}}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: found[name] for name in ("rows", "matmul TFLOP/s") if name in found}


def main(given: Sequence[str] | None = None) -> None:
    """Measure what is missing, print it, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a tiny model on a CPU")
    parser.add_argument("--references", type=_list, default=[1, 2, 3])
    parser.add_argument("--case", dest="cases", action="append", choices=list(strategies()))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--eager-only", dest="compile", action="store_false")
    parser.add_argument("--minutes", type=float, default=25, help="begin no case after these")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path, help="where the table goes, as Markdown")
    arguments = parser.parse_args(given)
    if not arguments.small and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --small runs a tiny model on the CPU")
    scale = SMALL if arguments.small else FULL
    result = {**kept_rows(arguments.json), "goal": GOAL, "scale": attrs.asdict(scale)}
    whole = run(_wide.Bench(scale), arguments, result)
    if arguments.page:
        arguments.page.write_text(page(result), encoding="utf-8")
    if not whole:
        print("some cases are missing; the same command goes on with them")


def _list(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
