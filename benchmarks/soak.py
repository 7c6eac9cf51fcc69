"""A thousand edits in one process, half of them ending in an error: nothing grows.

    python benchmarks/soak.py [--edits 1000] [--warm 200] [--seed 0] [--json FILE]

Three tiny pipelines and the embedded model take turns; methods, strengths, masks, schedules,
stages, references, chains, batches, recipes, replays and LoRAs vary from edit to edit
(``_soak_edits``). What fails: plugins, arguments, the autoencoder, the text encoder, the
transformer, callbacks,
files. After every hundredth edit: memory, open files, threads, hooks on modules, modules, filters
of warnings, files in temporary folders. Exit 1 if memory grows by 5 MiB or more per 100 edits after
the warm-up, if anything else grows, or if an edit at the end differs by a bit from that at the
start.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch
from _soak_edits import Soak, places
from _timing import write_json

import refhooks as rh
from refhooks.testing._tiny import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _soak_edits import Place

ROOT = Path(__file__).parents[1]
EVERY = 100
MOST = 5.0  # MiB per 100 edits
LISTS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks")


def resident() -> float:
    """Return the memory of this process in MiB, after what is free was given back."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def counts(made: Sequence[Place], folder: Path) -> dict[str, int]:
    """Return what must not grow."""
    parts = [part for place in made for part in place.editor.pipe.components.values()]
    modules = [
        module for part in parts if isinstance(part, torch.nn.Module) for module in part.modules()
    ]
    return {
        "open files": len([*Path("/proc/self/fd").iterdir()]),
        "threads": len([*Path("/proc/self/task").iterdir()]),
        "hooks": sum(len(getattr(module, name)) for module in modules for name in LISTS),
        "methods replaced": sum("forward" in vars(module) for module in modules),
        "modules": len(modules),
        "LoRAs": sum(len(place.editor.loras) for place in made),
        "warning filters": len(warnings.filters),
        "temporary files": sum(1 for path in folder.rglob("*") if path.is_file()),
    }


def results(made: Sequence[Place]) -> list[Any]:
    """Return the pixels of one plain edit on each model."""
    pictures = []
    for place in made:
        result = place.editor.edit(
            picture(1, (32, 32)), "make it night", steps=2, seed=1, cfg=2.0, **place.size
        )
        pictures.append(np.asarray(result.image))
    return pictures


def growth(memory: Sequence[float], warm: int) -> float:
    """Return the MiB that 100 edits add, after those that warm up: a line through all looks."""
    looks = memory[warm:]
    if len(looks) < 2:
        return 0.0
    slope, _ = np.polyfit(np.arange(len(looks)), np.asarray(looks), 1)
    return float(slope)


def soak(
    edits: int, warm: int, seed: int, *, toy: bool = True, every: int = EVERY,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:  # fmt: skip
    """Run the edits; return what was seen after every hundredth, and what is wrong."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", rh.RefhooksWarning)
        folder = Path(place)
        before, tempfile.tempdir = tempfile.tempdir, place  # whatever takes one takes it here
        try:
            made = places(folder, toy=toy)
            looks, differ, done = _run(Soak(made, seed), edits, folder, every, say)
        finally:
            tempfile.tempdir = before
    memory = [look["memory"] for look in looks]
    at = min(warm // every, len(looks) - 1)
    grown = growth(memory, at)
    wrong = [
        f"{name} grew from {looks[at][name]} to {looks[-1][name]}"
        for name in looks[0] if name != "memory" and looks[-1][name] > looks[at][name]
    ]  # fmt: skip
    wrong += [f"{name}: an edit at the end is not that at the start" for name in differ]
    if grown >= MOST:
        wrong.append(f"memory grows by {grown:.2f} MiB per {every} edits")
    failed = sum(count for name, count in done.items() if name.endswith(" fails"))
    return {
        "edits": edits, "warm": warm, "seed": seed, "failed": failed,
        "MiB per 100": round(grown * EVERY / every, 3), "memory": [round(it, 1) for it in memory],
        "first": looks[at], "last": looks[-1], "wrong": wrong,
        "minutes": round((time.monotonic() - began) / 60, 1), "done": done,
    }  # fmt: skip


def _run(
    edits: Soak, count: int, folder: Path, every: int, say: Callable[[str], object]
) -> tuple[list[dict[str, Any]], list[str], dict[str, int]]:
    first = results(edits.places)
    looks: list[dict[str, Any]] = []
    done: dict[str, int] = {}
    for number in range(1, count + 1):
        name = edits.edit(number)
        done[name] = done.get(name, 0) + 1
        if number % every == 0:
            look = {"memory": resident(), **counts(edits.places, folder)}
            looks.append(look)
            say(f"{number}: {look['memory']:.1f} MiB, " + ", ".join(
                f"{value} {label}" for label, value in look.items() if label != "memory"
            ))  # fmt: skip
    pairs = zip(edits.places, first, results(edits.places), strict=True)
    differ = [place.name for place, one, other in pairs if not np.array_equal(one, other)]
    return looks, differ, dict(sorted(done.items()))


@click.command()
@click.option("--edits", default=1000, type=click.IntRange(min=EVERY), show_default=True)
@click.option("--warm", default=200, show_default=True, help="Edits before growth counts.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_file", default=ROOT / "benchmarks" / "results" / "soak.json",
              type=click.Path(path_type=Path))  # fmt: skip
def main(edits: int, warm: int, seed: int, json_file: Path) -> None:
    """Edit, fail, and look at what has grown."""
    result = soak(edits, warm, seed, say=lambda text: print(text, flush=True))
    write_json(result, json_file)
    print(f"{result['MiB per 100']} MiB per 100 edits; wrong: {result['wrong'] or 'nothing'}")
    sys.exit(bool(result["wrong"]))


if __name__ == "__main__":
    main()
