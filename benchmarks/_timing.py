"""Timing in turns, and what is written of it: shared by the speed benchmarks."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def synchronise(device: str) -> None:
    """Wait until an accelerator has done what it was given."""
    if not device.startswith("cpu"):
        torch.accelerator.synchronize(device)


def once(device: str, function: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    synchronise(device)
    start = time.perf_counter()
    function()
    synchronise(device)
    return time.perf_counter() - start


def interleaved(
    cases: Mapping[str, Callable[[], float]],
    repeats: int,
    *,
    warm: int = 1,
    before: Mapping[str, Sequence[float]] | None = None,
    after: Callable[[Mapping[str, Sequence[float]]], object] | None = None,
) -> dict[str, list[float]]:
    """Run every case in turn, in an order that rotates, and return the seconds of each repeat.

    Args:
        cases: What is timed, by name; each returns its seconds.
        repeats: How often; the rounds before that warm up are left out.
        warm: How many of those.
        before: Seconds of rounds that an earlier call has done, which count.
        after: Called after each round with the seconds of all so far.
    """
    names = list(cases)
    found: dict[str, list[float]] = {name: [*(before or {}).get(name, ())] for name in names}
    done = len(found[names[0]])
    for turn in range(done - warm if done < repeats else repeats, repeats):
        shift = turn % len(names)
        timed = {name: cases[name]() for name in names[shift:] + names[:shift]}
        if turn >= done:
            for name, seconds in timed.items():
                found[name].append(seconds)
            if after is not None:
                after(found)
        print(f"round {turn + 1} of {repeats}", file=sys.stderr, flush=True)
    return found


def over(found: Mapping[str, Sequence[float]], name: str, base: str) -> dict[str, float]:
    """Return the median of one case over another, round by round, with the spread."""
    return spread([one / other for one, other in zip(found[name], found[base], strict=True)])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def environment() -> dict[str, Any]:
    """Return what a result depends on: the device and the versions."""
    found = {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
        found["cuda"] = torch.version.cuda
    return found


def write_json(result: Mapping[str, Any], path: Path) -> None:
    """Write a result, whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    text = json.dumps({**environment(), **result}, indent=1, allow_nan=False)
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(path)
