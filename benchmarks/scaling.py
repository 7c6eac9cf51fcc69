"""How time and memory grow with references, resolution, steps and batch, beside the FLOP model.

    python benchmarks/scaling.py [--blocks 1] [--side 16] [--sides 12,16,20,24,32] [--device cuda]
                                 [--json benchmarks/results/scaling.json]
                                 [--plot docs/images/scaling.png]

Four curves of a step (of the whole run for steps): the stock pipeline, and edits by ``default``,
``inject`` and ``cross_attn`` at 0.7. ``measured`` is the median over that of the stock pipeline at
the curve's first point; ``predicted`` is the same ratio of the operations that ``refhooks plan
--cost`` reckons with. All points are run in turn, in an order that rotates. Memory is the most that
lived at once in the steps, beside what was there before them: on CUDA as its allocator counts, on a
CPU of the tensors that operators made, without what they need inside themselves. The family takes
three references, so the fourth is the stock pipeline's alone.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _wide
import attrs

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST = 3  # references that the family takes
STRATEGIES = {
    "default": rh.Strategy("default"),
    "inject": rh.Strategy("inject"),
    "cross_attn": rh.Strategy(rh.Stage("cross_attn", 0.7)),
}


@attrs.frozen
class Point:
    """One point of a curve.

    Attributes:
        curve: ``references``, ``tokens``, ``steps`` or ``batch``.
        case: ``stock``, or a method.
        at: The number along the curve.
        bench: That runs it.
        run: Runs it and returns its seconds.
        flops: What it should cost.
    """

    curve: str
    case: str
    at: int
    bench: _wide.Bench
    run: Callable[[], float]
    flops: float

    @property
    def name(self) -> str:
        """Unique."""
        return f"{self.curve} {self.at}, {self.case}"


def point(
    bench: _wide.Bench, curve: str, case: str, at: int, *, references: int = 1, steps: int = 2,
    batch: int = 1,
) -> Point:  # fmt: skip
    """Return a point; a curve over steps is of whole runs."""
    each = [STRATEGIES.get(case, STRATEGIES["default"])] * references
    cost = bench.predicted(each, steps, batch=batch)
    if case == "stock":
        run = functools.partial(bench.stock, references, steps)
    else:
        run = functools.partial(bench.edit, each, steps, n=batch)
    whole = steps if curve == "steps" else 1
    return Point(curve, case, at, bench, lambda: whole * run(), whole * cost.flops / steps)


def points(bench: _wide.Bench, arguments: argparse.Namespace) -> list[Point]:
    """Return all points; the stock pipeline takes no batch."""
    found = [
        point(bench, "references", case, count, references=count)
        for count in range(1, MOST + 2)
        for case in ("stock", *STRATEGIES)
        if case == "stock" or count <= MOST
    ]
    for side in arguments.sides:
        other = bench.at(side)
        found += [point(other, "tokens", case, side**2) for case in ("stock", *STRATEGIES)]
    for steps in arguments.steps:
        found += [
            point(bench, "steps", case, steps, steps=steps) for case in ("stock", *STRATEGIES)
        ]
    for batch in arguments.batches:
        found += [point(bench, "batch", case, batch, batch=batch) for case in STRATEGIES]
    return [each for each in found if each.curve in arguments.curves]


def table(found: Sequence[Point], seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Return a row for each point, each over the first of its curve that is measured."""
    rows = []
    for each in found:
        first = next(other for other in found if other.curve == each.curve)
        base = statistics.median(seconds[first.name])
        rows.append(
            {
                "curve": each.curve,
                "case": each.case,
                "at": each.at,
                "seconds": _wide.spread(seconds[each.name]),
                "measured": statistics.median(seconds[each.name]) / base,
                "predicted": each.flops / first.flops,
                "peak bytes": each.bench.peak(each.run),
            }
        )
    return rows


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw each curve: measured as points, predicted as lines."""
    import matplotlib as mpl  # noqa: PLC0415  an extra

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    curves = list(dict.fromkeys(row["curve"] for row in rows))
    figure, grid = plt.subplots(1, len(curves), figsize=(4 * len(curves), 3.6), squeeze=False)
    axes = grid[0]
    for axis, curve in zip(axes, curves, strict=True):
        for color, case in enumerate(dict.fromkeys(row["case"] for row in rows)):
            line = [row for row in rows if (row["curve"], row["case"]) == (curve, case)]
            across = [row["at"] for row in line]
            axis.plot(across, [row["predicted"] for row in line], f"C{color}-", lw=1)
            axis.plot(across, [row["measured"] for row in line], f"C{color}o", label=case)
        points = sorted({row["at"] for row in rows if row["curve"] == curve})
        axis.set(xlabel=curve, title=f"time over {curve}", xticks=points)
    axes[0].set_ylabel("times the first point\n(dots measured, lines predicted)")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _list(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Print the figures, write and draw them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    _wide.add_options(parser, blocks=1, side=16, text=64)
    parser.add_argument("--sides", type=_list, default=[12, 16, 20, 24, 32])
    parser.add_argument("--steps", type=_list, default=[2, 4, 8])
    parser.add_argument("--batches", type=_list, default=[1, 2, 4])
    parser.add_argument(
        "--curves",
        type=lambda text: text.split(","),
        default=["references", "tokens", "steps", "batch"],
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    scale = _wide.scale_of(arguments)
    bench = _wide.Bench(scale)
    found = points(bench, arguments)
    seconds = _wide.interleaved({each.name: each.run for each in found}, arguments.repeats)
    rows = table(found, seconds)
    for row in rows:
        print(
            f"{row['curve']} {row['at']}, {row['case']}: {row['measured']:.2f} measured,"
            f" {row['predicted']:.2f} predicted, {row['peak bytes'] / 2**20:.1f} MiB"
        )
    if arguments.json:
        _wide.write_json({"scale": attrs.asdict(scale), "rows": rows}, arguments.json)
    if arguments.plot:
        draw(rows, arguments.plot)


if __name__ == "__main__":
    main()
