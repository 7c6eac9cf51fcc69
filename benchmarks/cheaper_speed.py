"""What cheaper ways to edit save: 28 steps with guidance, on a wide model with random weights.

    python benchmarks/cheaper_speed.py [--rounds 1] [--json benchmarks/results/cheaper_speed.json]

Processor seconds of whole edits by one thread, so that other work on the machine does not count; in
every round each way runs once, in an order that rotates. All ways run in the editor, whose plain
edit is the stock pipeline's to the bit, and whose ``cache=`` is diffusers' own.

Random weights predict nothing, so a plugin puts in a prediction: the source, with a square changed
that makes ``auto_mask`` compute about the share of tokens that it computed on toy's held-out edits
(``auto_mask.py``). Nor do random weights change slowly from step to step, so First Block Cache
would leave nothing out: it decides as ever, and then leaves out as many passes as it did on toy,
evenly spread. ``computed`` is the share of passes that run the second block. What each way costs in
quality was measured on toy (``cheaper_quality.py``).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch
from _timing import environment, write_json
from _wide import PROMPT, Bench, Scale
from cheaper_quality import counted
from diffusers.hooks.first_block_cache import FBCHeadBlockHook

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Iterator

QUALITY = Path(__file__).parent / "results" / "cheaper_quality.json"
STEPS, CFG, LATE = 28, 4.0, "0.5@4"
SQUARE = 5  # tokens of a side that change
WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "FBCache .2": {"cache": "fbcache:threshold=0.2"},
    "FBCache .05": {"cache": "fbcache:threshold=0.05"},
    "TaylorSeer 5": {"cache": "taylorseer:interval=5,order=1,start=3"},
    "from .5": {"cfg": LATE},
    "auto_mask": {"auto": {}},
    "auto_mask, reuse 7, from .5": {"auto": {"reuse": 7}, "cfg": LATE},
}


@contextlib.contextmanager
def leaving_out(share: float | None) -> Iterator[None]:
    """Have First Block Cache compute this share of its passes in each branch, evenly spread."""
    stock = FBCHeadBlockHook._should_compute_remaining_blocks
    credit: dict[int, float] = {}

    def decide(hook: Any, residual: Any) -> bool:
        first = stock(hook, residual)  # for what it costs
        state = hook.state_manager.get_state()
        if share is None or state.head_block_residual is None:
            return first
        credit[id(state)] = credit.get(id(state), 0.0) + share
        computed = credit[id(state)] >= 1.0
        credit[id(state)] -= computed
        return computed

    FBCHeadBlockHook._should_compute_remaining_blocks = decide
    try:
        yield
    finally:
        FBCHeadBlockHook._should_compute_remaining_blocks = stock


@attrs.frozen(eq=False)
class Predicted:
    """Predicts the source with a square in the middle changed."""

    name = "predicted"

    def bind_run(self, run: Any) -> Any:
        """Return what predicts it."""
        return _Predicting(run)


class _Predicting:
    def __init__(self, run: Any) -> None:
        rows, columns = run.grid
        changed = torch.zeros(rows, columns)
        top, left = (rows - SQUARE) // 2, (columns - SQUARE) // 2
        changed[top : top + SQUARE, left : left + SQUARE] = 2.0
        self._picture = run.source.latents + changed.reshape(1, -1, 1)

    @rh.hookimpl
    def refhooks_velocity(self, ctx: Any, latents: Any) -> Any:
        """Go straight to it."""
        return (latents - self._picture) / ctx.step.sigma


def edit(bench: Bench, way: str) -> tuple[float, float]:
    """Return the processor seconds of an edit, and the share of passes with a second block."""
    options = dict(WAYS[way])
    auto = options.pop("auto", None)
    plugins = [Predicted()] + ([] if auto is None else [rh.plugin("auto_mask", **auto)])
    options = {"cfg": CFG, **options}
    on_toy = json.loads(QUALITY.read_text(encoding="utf-8"))["cells"].get(f"28 steps, {way}", {})
    with counted(bench.pipe) as calls, leaving_out(on_toy.get("computed")):
        start = time.process_time()
        bench.editor.edit(
            bench.pictures[0], PROMPT, steps=STEPS, seed=0, height=bench.pixels,
            width=bench.pixels, plugins=plugins, **options,
        )  # fmt: skip
        seconds = time.process_time() - start
    return seconds, len(calls) / (2 * STEPS)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--side", type=int, default=12, help="rows and columns of tokens")
    parser.add_argument("--text", type=int, default=32)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    scale = Scale(
        blocks=options.blocks, side=options.side, text=options.text, heads=options.heads
    )  # fmt: skip
    bench = Bench(scale)
    edit(bench, "from .5")  # to warm up
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for turn in range(options.rounds):
        names = list(WAYS)
        for way in names[turn % len(names) :] + names[: turn % len(names)]:
            found[way].append(edit(bench, way))
            print(turn, way, found[way][-1], flush=True)
        if options.json is not None:
            write_json({**environment(), "scale": attrs.asdict(scale), "steps": STEPS,
                        "cells": figures(found)}, options.json)  # fmt: skip


def figures(found: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """Return how many times as fast as the whole edit each way is, in the rounds that are done."""
    done = min(map(len, found.values()))
    whole = [seconds for seconds, _ in found["whole"][:done]]
    cells = {}
    for way, runs in found.items():
        faster = [own / seconds for own, (seconds, _) in zip(whole, runs[:done], strict=True)]
        if faster:
            cells[way] = {
                "times as fast": statistics.median(faster), "least": min(faster),
                "most": max(faster), "computed": runs[0][1],
                "seconds": statistics.median(seconds for seconds, _ in runs[:done]),
            }  # fmt: skip
    return cells


if __name__ == "__main__":
    main()
