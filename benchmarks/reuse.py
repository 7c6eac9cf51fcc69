"""What reusing a reference's keys and values saves: steps, whole runs, and the bound for both.

    python benchmarks/reuse.py [--blocks 4 --side 32 --references 1] [--json FILE]

Times are seconds from the end of one step to the end of the next, on a wide model with random
weights (``_wide.py``), without guidance. In every round each case runs once: the stock pipeline, a
run in which every step stores, and one run for each interval. The first step of ``once`` is the
refresh, the others are the loaded ones.

The bound of a loaded step is the time that the stock model's own parts take for what is left to do:
all but attention for the tokens of text and output, and attention from those to all keys, the
references' included. ``share`` is the bound over what was measured, 1 at best. The same is given
for whole runs, where refreshes are bound by the stock step, and against the limit that counts
operations alone (linear layers ``24·width²`` a token and block, attention ``4·q·k·width``).
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch
from _wide import (
    PROMPT,
    Bench,
    add_options,
    interleaved,
    parameters,
    scale_of,
    spread,
    synchronise,
    write_json,
)

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from _wide import Scale

INTERVALS = {"2": "every 2", "4": "every 4", "8": "every 8", "once": "once"}
NOTE = "sums of laps; text encoder, VAE and what runs once an edit are left out"


class Runs:
    """Runs of some steps with some references, and the laps of each.

    Args:
        bench: The model.
        references: How many.
        steps: Of a run.
    """

    def __init__(self, bench: Bench, references: int, steps: int) -> None:
        self._bench, self._references, self._steps = bench, references, steps
        self.laps: dict[str, list[list[float]]] = {}

    def case(self, name: str, reuse: str) -> Callable[[], float]:
        """Return a function that runs with ``reuse`` and returns the seconds of all steps."""

        def run() -> float:
            method = rh.method("cross_attn", reuse=reuse, measure_drift=False)
            laps = self._edit(rh.Stage(method))
            self.laps.setdefault(name, []).append(laps)
            return sum(laps)

        return run

    def storing(self) -> float:
        """Store at every step, with the drift measured, and return the seconds of all steps."""
        laps = self._edit(rh.Stage(rh.method("cross_attn", reuse="every 1")))
        return sum(laps)

    def stock(self) -> float:
        """Run the stock pipeline and return the seconds of all steps."""
        return self._steps * self._bench.stock(self._references, self._steps)

    def _edit(self, stage: rh.Stage) -> list[float]:
        bench = self._bench
        marks: list[float] = []

        def mark(*_: Any) -> None:
            synchronise(bench.scale.device)
            marks.append(time.perf_counter())

        def first(*_: Any) -> None:
            if not marks:
                mark()

        handle = bench.pipe.transformer.register_forward_pre_hook(first)
        try:
            bench.editor.edit(
                bench.pictures[0], PROMPT, strategy=stage, steps=self._steps, seed=0, cfg=1.0,
                references=[
                    rh.Reference(image, stage) for image in bench.pictures[1 : self._references]
                ],
                height=bench.pixels, width=bench.pixels, callback=mark,
            )  # fmt: skip
        finally:
            handle.remove()
        return [after - before for before, after in itertools.pairwise(marks)]


def measure(bench: Bench, references: int, steps: int, repeats: int) -> dict[str, Any]:
    """Return the figures for some number of references."""
    scale, runs = bench.scale, Runs(bench, references, steps)
    own = scale.tokens + scale.text
    kept = references * scale.tokens
    cases: dict[str, Callable[[], float]] = {
        "stock": runs.stock,
        "1": runs.storing,
        **{name: runs.case(name, reuse) for name, reuse in INTERVALS.items()},
        "linear part": lambda: bench.linear_seconds(scale.tokens),
        "attention part": lambda: bench.attention_seconds(own, own + kept),
    }
    found = interleaved(cases, repeats)
    once = runs.laps["once"][-repeats:]
    stock = [seconds / steps for seconds in found["stock"]]
    loaded = [statistics.median(laps[1:]) for laps in once]
    refresh = [laps[0] for laps in once]
    parts = zip(found["linear part"], found["attention part"], strict=True)
    bound = [linear + attention for linear, attention in parts]
    return {
        "references": references,
        "seconds": {
            "stock step": spread(stock),
            "storing step, drift measured": spread([one / steps for one in found["1"]]),
            "refresh step": spread(refresh),
            "loaded step": spread(loaded),
            "bound of a loaded step": spread(bound),
            "linear part of it": spread(found["linear part"]),
            "attention part of it": spread(found["attention part"]),
        },
        "refresh over stock": ratio(refresh, stock),
        "loaded: times as fast as stock": ratio(stock, loaded),
        "loaded: bound": ratio(stock, bound),
        "loaded: share of the bound": ratio(bound, loaded),
        "loaded: limit by operations": operations(scale, references),
        "runs": {name: run_figures(name, steps, found, stock, bound) for name in ("1", *INTERVALS)},
    }


def run_figures(
    name: str,
    steps: int,
    found: Mapping[str, Sequence[float]],
    stock: Sequence[float],
    bound: Sequence[float],
) -> dict[str, Any]:
    """Return how much faster whole runs with an interval are than stock ones, and the bound."""
    every = steps if name == "once" else int(name)
    refreshes = len(range(0, steps, every))
    limit = [
        refreshes * one + (steps - refreshes) * other
        for one, other in zip(stock, bound, strict=True)
    ]
    return {
        "refreshes": refreshes,
        "times as fast as stock": ratio(found["stock"], found[name]),
        "bound": ratio(found["stock"], limit),
        "share of the bound": ratio(limit, found[name]),
    }


def ratio(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return one over the other, round by round: median and spread."""
    return spread([a / b for a, b in zip(one, other, strict=True)])


def operations(scale: Scale, references: int) -> float:
    """Return stock over loaded in operations, per block: text counts like the output."""
    own = scale.tokens + scale.text
    whole = own + references * scale.tokens

    def cost(queries: int, keys: int) -> float:
        return 24.0 * queries * scale.width**2 + 4.0 * queries * keys * scale.width

    return cost(whole, whole) / cost(own, whole)


def show(figures: Mapping[str, Any]) -> None:
    """Print what a reader wants to know first."""
    print(f"{figures['references']} reference(s)")
    for name, value in figures["seconds"].items():
        print(
            f"  {name:30} {value['median']:8.3f} s  ({value['lowest']:.3f}–{value['highest']:.3f})"
        )
    for name, value in figures.items():
        if isinstance(value, dict) and "median" in value:
            print(f"  {name:34} {_said(value)}")
    print(f"  {'loaded: limit by operations':34} {figures['loaded: limit by operations']:.2f}")
    for name, run in figures["runs"].items():
        label = "once" if name == "once" else f"every {name}"
        fast, share = run["times as fast as stock"], run["share of the bound"]
        print(f"  run, {label:8} {_said(fast)}; {share['median']:.1%} of the bound")


def _said(value: Mapping[str, float]) -> str:
    return f"{value['median']:.3f} ({value['lowest']:.3f}–{value['highest']:.3f})"


def main() -> None:
    """Print the figures, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser, blocks=4, side=32, text=256)
    parser.add_argument("--references", type=int, nargs="+", default=[1], choices=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=8, help="of a run")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="compile the blocks")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error("--steps must be 2 or more: the first one stores")
    scale = scale_of(arguments)
    bench = Bench(scale)
    if arguments.compile:
        bench.pipe.transformer.compile_repeated_blocks(fullgraph=True)
    print(f"{parameters(bench.pipe.transformer) / 1e9:.2f} B parameters", file=sys.stderr)
    with torch.no_grad():
        cases = [
            measure(bench, references, arguments.steps, arguments.repeats)
            for references in arguments.references
        ]
    for figures in cases:
        show(figures)
    if arguments.json:
        write_json(
            {
                "scale": attrs.asdict(scale),
                "steps": arguments.steps,
                "repeats": arguments.repeats,
                "compiled": arguments.compile,
                "note": NOTE,
                "cases": cases,
            },
            arguments.json,
        )


if __name__ == "__main__":
    main()
