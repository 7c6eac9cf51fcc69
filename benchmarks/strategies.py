"""What a large strategy costs a run: compiling its timetable, and walking it.

    python benchmarks/strategies.py [--repeats 25] [--json benchmarks/results/strategies.json]

Three references with 1,000 keyframes each, 50 steps. The baseline, in the same process, is the same
with one constant strength a reference. Bound: 5 ms a run.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS, REFERENCES, FRAMES = 50, 3, 1_000
BOUND = 5.0  # ms


def keyframes(interpolation: str, guarantee: int) -> rh.Schedule:
    """Return a schedule of 1,000 keyframes, of which the first few have guaranteed steps."""
    frames = [
        (place / (FRAMES - 1), place % 150 / 100, guarantee * (place < 5))
        for place in range(FRAMES)
    ]
    return rh.schedule("keyframes", frames=frames, interpolation=interpolation)


def references(strengths: Sequence[rh.Schedule | float]) -> list[rh.Reference]:
    """Return one reference a strength, each of which switches its method on the way."""
    return [
        rh.Reference("", rh.Strategy([rh.Stage("default", it, until=0.5), rh.Stage("inject", it)]))
        for it in strengths
    ]


def milliseconds(given: list[rh.Reference], repeats: int) -> list[float]:
    """Return what each run costs: the plan is made, and every row of it is looked at."""
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        timetable = rh.plan(given, STEPS)
        total = sum(row.strength for planned in timetable.steps for row in planned.rows)
        spent.append(1e3 * (time.perf_counter() - start))
        if not total:
            raise RuntimeError("the strategy does nothing")
    return sorted(spent)


def main() -> None:
    """Print the figures, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cases = {
        "one strength a reference": references([0.7] * REFERENCES),
        "1,000 keyframes a reference, linear": references([keyframes("linear", 0)] * REFERENCES),
        "1,000 keyframes a reference, guaranteed steps": references(
            [keyframes("cosine", 2)] * REFERENCES
        ),
    }
    figures = {name: milliseconds(given, arguments.repeats) for name, given in cases.items()}
    for name, spent in figures.items():
        print(
            f"{name}: median {statistics.median(spent):.2f} ms a run,"
            f" from {spent[0]:.2f} to {spent[-1]:.2f} (bound {BOUND:g})"
        )
    if arguments.json:
        result = {
            "command": "python benchmarks/strategies.py",
            "device": platform.processor() or platform.machine(),
            "steps": STEPS,
            "references": REFERENCES,
            "ms_per_run": figures,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
