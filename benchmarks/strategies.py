"""What strategies cost a run: compiling and walking a large timetable, and switching methods.

    python benchmarks/strategies.py [--repeats 25] [--rounds 9]
                                    [--json benchmarks/results/strategies.json]

Timetable: three references with 1,000 keyframes each, 50 steps. The baseline, in the same process,
is the same with one constant strength a reference. Bound: 5 ms a run.

Switching: a 16-step edit with the embedded model that takes ``cross_attn`` for the first half and
``inject`` for the second, over the sum of half an edit with each. All three are run in turn, in an
order that rotates; the figures are medians of the ratios, with their spread. ``steps`` compares
each step with the same step of its part, from the second on: what lies above 1 there is what a
switch costs. ``edit`` compares whole edits: there ``inject`` also encodes the picture, fitted to
the output's shape, after ``cross_attn`` has encoded it as it is. Bound of ``steps``: 1.03.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import torch

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STEPS, REFERENCES, FRAMES = 50, 3, 1_000
BOUND = 5.0  # ms
SWITCH_STEPS, SWITCH_BOUND = 16, 1.03


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


@attrs.frozen
class Timed:
    """Seconds of one edit: all of it, and each step from the second on."""

    edit: float
    steps: list[float]


def switching(rounds: int) -> list[dict[str, Timed]]:
    """Return each round's three edits, by what they do; the warm-up round is left out."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    source = next(iter(rh.load_registry().models["toy"].samples()))
    first, second = rh.Stage("cross_attn", 0.6), rh.Stage("inject", 1.0)
    strategies = {
        "cross_attn": rh.Strategy(first),
        "inject": rh.Strategy(second),
        "switch": rh.Strategy([attrs.evolve(first, until=0.5), second]),
    }
    names, found = list(strategies), []
    for turn in range(rounds + 1):
        rotated = names[turn % 3 :] + names[: turn % 3]
        found.append({name: timed(editor, source, strategies[name]) for name in rotated})
    return found[1:]


def timed(editor: rh.Editor, source: Path, strategy: rh.Strategy) -> Timed:
    """Run one edit."""
    ends: list[float] = []
    start = time.perf_counter()
    editor.edit(
        source, "make it night", strategy=strategy, steps=SWITCH_STEPS, seed=0,
        callback=lambda *_: ends.append(time.perf_counter()),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    return Timed(seconds, [after - before for before, after in itertools.pairwise(ends)])


def over_parts(rounds: Sequence[Mapping[str, Timed]]) -> dict[str, list[float]]:
    """Return, for each round, the switching edit over the sum of its parts: edits, and steps."""
    half = SWITCH_STEPS // 2 - 1  # the first of a run's steps is not timed
    edits, steps = [], []
    for it in rounds:
        edits.append(it["switch"].edit / (0.5 * it["cross_attn"].edit + 0.5 * it["inject"].edit))
        parts = sum(it["cross_attn"].steps[:half]) + sum(it["inject"].steps[half:])
        steps.append(sum(it["switch"].steps) / parts)
    return {"steps": sorted(steps), "edit": sorted(edits)}


def main() -> None:
    """Print the figures, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=9, help="of the three edits")
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
    torch.set_num_threads(1)
    ratios = over_parts(switching(arguments.rounds))
    for name, values in ratios.items():
        print(
            f"switching / sum of its parts, {name}: median {statistics.median(values):.3f},"
            f" from {values[0]:.3f} to {values[-1]:.3f} in {len(values)} rounds"
            + (f" (bound {SWITCH_BOUND})" if name == "steps" else "")
        )
    if arguments.json:
        result = {
            "command": "python benchmarks/strategies.py",
            "device": platform.processor() or platform.machine(),
            "steps": STEPS,
            "references": REFERENCES,
            "ms_per_run": figures,
            "switching_over_parts": {"of": SWITCH_STEPS, **ratios},
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
