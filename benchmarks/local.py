"""What ``compute="inside"`` saves: local edits against the stock pipeline with the same pictures.

    python benchmarks/local.py --json FILE               the cells, at 24x24 tokens or `--side`
    python benchmarks/local.py --main --json FILE        one cell at 64x64 tokens, in its whole
    python benchmarks/local.py --memory --json FILE      the most that lives at once, of each way

A wide model with random weights (``_wide.py``), one block, no guidance. A cell is a share of the
picture that may change, a square in the middle, and a number of references. Timed are a stock step,
a step that computes what is inside and all references' tokens and stores their keys and values, and
a step that reads them; a run of 28 steps with ``reuse=7`` is 4 of the former and 24 of the latter.
``--main`` runs all 7 steps of a round of reuse instead.

Seconds are the process's own on a processor with one thread, so that other work on the machine does
not count, and those of the clock elsewhere. In every round each case runs once. The limit counts
operations alone (``refhooks.cost``); ``share`` is what was measured over it. Every finished round
is written, and a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch
from _wide import PROMPT, Bench, Scale, environment, stock_areas, synchronise

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SHARES = (5, 10, 25, 50)
EVERY, STEPS = 7, 28


def seconds(device: str) -> float:
    """Return the seconds of the process, or of the clock where something else does the work."""
    synchronise(device)
    alone = device == "cpu" and torch.get_num_threads() == 1
    return time.process_time() if alone else time.perf_counter()


def box(share: float, side: int) -> str:
    """Return a square of whole tokens in the middle that covers about so many percent."""
    tokens = max(1, round(side * math.sqrt(share / 100.0)))
    start = (side - tokens) // 2
    return f"{16 * start},{16 * start},{16 * tokens},{16 * tokens}"


class Runs:
    """Laps of stock runs and of local ones."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def stock(self, references: int) -> list[float]:
        """Return the seconds of one step of the stock pipeline."""
        bench = self._bench

        def stepped(pipe: Any, _index: int, _t: Any, held: Any) -> Any:
            pipe._interrupt = True
            return held

        def run(mark: Callable[[], object]) -> None:
            with stock_areas(bench.scale.area):
                bench.pipe(
                    image=bench.pictures[:references], prompt=PROMPT, true_cfg_scale=1.0,
                    num_inference_steps=2, generator=torch.Generator().manual_seed(0),
                    height=bench.pixels, width=bench.pixels, output_type="latent",
                    callback_on_step_end=lambda *them: mark() or stepped(*them),
                )  # fmt: skip

        return self._laps(run)

    def local(self, references: int, share: float, steps: int, compute: Any) -> list[float]:
        """Return the seconds of each step of a local edit."""
        bench = self._bench

        def run(mark: Callable[[], object]) -> None:
            bench.editor.edit(
                bench.pictures[0], PROMPT, steps=steps, seed=0, cfg=1.0,
                references=bench.pictures[1:references], height=bench.pixels, width=bench.pixels,
                edit_mask=box(share, bench.scale.side), compute=compute,
                callback=lambda *_: mark(),
            )  # fmt: skip

        return self._laps(run)

    def _laps(self, run: Callable[[Callable[[], object]], None]) -> list[float]:
        marks: list[float] = []

        def mark(*_: Any) -> None:
            marks.append(seconds(self._bench.scale.device))

        def first(*_: Any) -> None:
            if not marks:
                mark()

        handle = self._bench.pipe.transformer.register_forward_pre_hook(first)
        try:
            run(mark)
        finally:
            handle.remove()
        return [after - before for before, after in itertools.pairwise(marks)]


def round_of(
    runs: Runs, references: Sequence[int], shares: Sequence[int], *, main: bool
) -> dict[str, list[float]]:
    """Run every case once."""
    found: dict[str, list[float]] = {}
    for count in references:
        found[f"stock {count}"] = runs.stock(count)
        steps = EVERY if main else 2
        for share in shares:
            compute = rh.Inside(reuse=EVERY)
            found[f"{share} {count}"] = runs.local(count, share, steps, compute)
            print(f"{share} % {count}", found[f"{share} {count}"], file=sys.stderr, flush=True)
    return found


def cells(bench: Bench, rounds: Sequence[Mapping[str, list[float]]]) -> list[dict[str, Any]]:
    """Return the figures of every cell."""
    return [
        _cell(bench, rounds, name) for name in rounds[0] if not name.startswith("stock")
    ] if rounds else []  # fmt: skip


def _cell(bench: Bench, rounds: Sequence[Mapping[str, list[float]]], name: str) -> dict[str, Any]:
    share, references = (int(part) for part in name.split())
    found: dict[str, Any] = {"share": share, "references": references}
    for label, compute, count in (("all references", 1, 1), (f"reuse {EVERY}", EVERY, STEPS)):
        cost = rh.cost(
            [rh.Reference("", "default")] * references, count, shape=bench.shape, cfg=1.0,
            height=bench.pixels, width=bench.pixels, edit_mask=box(share, bench.scale.side),
            compute=rh.Inside(reuse=compute),
        )  # fmt: skip
        limit = 1.0 / cost.over_native
        fast = statistics.median(_faster(each, name, references, compute) for each in rounds)
        found[label] = {
            "times as fast": fast, "limit": limit, "share": fast / limit,
            "computed": cost.target, "kept_bytes": cost.kept_bytes,
        }  # fmt: skip
    return found


def _faster(found: Mapping[str, list[float]], name: str, references: int, every: int) -> float:
    """How many times as fast as stock a run is, put together from its steps."""
    stock, (first, *rest) = found[f"stock {references}"][0], found[name]
    if every == 1:
        return stock / first
    return stock * every / (first + (every - 1) * statistics.mean(rest))


def memory(bench: Bench) -> list[dict[str, Any]]:
    """Return the most that lives at once in the steps of stock and of local runs."""
    found = []
    for references in (1, 2, 3):
        stock = bench.peak(functools.partial(bench.stock, references))
        for name, compute in (("inside", rh.Inside()), ("reuse", rh.Inside(reuse=EVERY))):
            mask = box(10, bench.scale.side)
            edit = functools.partial(
                bench.edit, [None] * references, edit_mask=mask, compute=compute
            )
            kept = bench.shape.kept_bytes(references * bench.scale.tokens) * (name == "reuse")
            found.append(
                {
                    "references": references, "way": name, "stock": stock,
                    "own": bench.peak(edit), "kept": kept,
                }
            )  # fmt: skip
    return found


def main() -> None:
    """Run rounds and write what they come to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--main", action="store_true", help="the one cell at full size")
    parser.add_argument("--memory", action="store_true", help="memory, not time")
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--side", type=int, help="rows and columns of tokens; 24, or 64")
    parser.add_argument("--text", type=int, help="tokens of the prompt; 128, or 512")
    parser.add_argument("--references", type=int, nargs="+", choices=[1, 2, 3])
    parser.add_argument("--shares", type=int, nargs="+", help="in percent")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="compile the blocks")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    scale = Scale(
        blocks=options.blocks, side=options.side or (64 if options.main else 24),
        text=options.text or (512 if options.main else 128), dtype=options.dtype,
        device=options.device,
    )  # fmt: skip
    references = options.references or ([1] if options.main else [1, 2, 3])
    shares = options.shares or ([10] if options.main else [*SHARES])
    bench = Bench(scale)
    if options.compile:
        bench.pipe.transformer.compile_repeated_blocks(fullgraph=True)
    stated = {
        **attrs.asdict(scale), "references": references, "shares": shares, "main": options.main,
    }  # fmt: skip
    if options.memory:
        _write(options.json, {"scale": stated, "memory": memory(bench)})
        return
    before = json.loads(options.json.read_text("utf-8")) if options.json.exists() else {}
    if before and before["scale"] != stated:
        raise SystemExit(f"{options.json} is of a run with other options; give another --json")
    rounds = before.get("rounds", [])
    with torch.no_grad():
        while len(rounds) < options.repeats:
            rounds.append(round_of(Runs(bench), references, shares, main=options.main))
            _write(
                options.json,
                {"scale": stated, "rounds": rounds, "cells": cells(bench, rounds)},
            )
    for cell in cells(bench, rounds):
        print(json.dumps(cell))


def _write(path: Path, result: Mapping[str, Any]) -> None:
    path.write_text(json.dumps({**environment(), **result}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
