"""Several processes on one grid and on one score, some of them killed: what each of them made."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _kill_points import STORE, start

from refhooks.testing._tiny import picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _kill_points import Child

MODEL = ("--model", "tiny")
GRID_PROCESSES, SCORE_PROCESSES, VICTIMS = 8, 4, 2
STOP = 4  # the point where the victims are killed: they have claimed something by then


def noting(log: Path) -> Callable[[], None]:
    """Return what notes every file that a process renames to its place, before it does."""

    def patch() -> None:
        replace = os.replace

        def noted(source: Any, target: Any, **options: Any) -> None:
            replace(source, target, **options)
            with log.open("ab", buffering=0) as file:
                file.write(f"{Path(target).name}\n".encode())

        os.replace = noted

    return patch


def _ended(children: Sequence[Child], victims: Sequence[Child]) -> list[str]:
    """Kill the victims where they stop, and wait for the others; return what is wrong."""
    early = [child for child in victims if not child.stopped()]
    wrong = ["a process had nothing to do before it was killed" for _ in early]
    time.sleep(1.0)  # the others come to wait for what the victims have claimed
    for child in victims:
        os.kill(child.process, signal.SIGKILL)
        child.end()
    for child in children:
        child.passed()
    statuses = [child.end() for child in children]
    return wrong + [f"a process ended with {status}" for status in statuses if status]


def share_grid(folder: Path, grid: Sequence[str]) -> dict[str, Any]:
    """Run one grid in eight processes, of which two are killed; count how often cells are made."""
    work, made = folder / "grid", folder / "made"
    work.mkdir()
    picture(1, (40, 32)).save(work / "photo.png")
    common = (*grid, "--seeds", "1,2,3,4,5,6", "--steps", "2", "--cells", "cells", *MODEL)

    def begin(number: int, stop: int | None) -> Child:
        arguments = (*common, "-o", f"{number}.png")
        return start(arguments, work, folder / f"log-{number}", stop, before=noting(made))

    victims = [begin(number, STOP + 3 * number) for number in range(VICTIMS)]
    others = [begin(number, None) for number in range(VICTIMS, GRID_PROCESSES)]
    wrong = _ended(others, victims)
    sheets = {(work / f"{number}.png").read_bytes() for number in range(VICTIMS, GRID_PROCESSES)}
    again = start((*common, "-o", "again.png"), work, folder / "log", before=noting(made))
    again.passed()
    again.end()  # which sweeps what the killed ones left
    cells = sorted(path.name for path in (work / "cells").iterdir())
    times = made.read_text().split()
    counts = [times.count(name) for name in cells]
    if counts != [1] * 12 or len(sheets) != 1:
        wrong.append(f"cells were made {counts} times; {len(sheets)} different sheets")
    return {"processes": GRID_PROCESSES, "killed": VICTIMS, "cells": len(cells),
            "made": sum(counts), "wrong": wrong}  # fmt: skip


def share_score(folder: Path, score: Sequence[str]) -> dict[str, Any]:
    """Run one score in four processes, of which one is killed; count the lines of its store."""
    work = folder / "score"
    work.mkdir()
    strengths = ("--strengths", "0,0.25,0.5,0.75,1,1.5")
    arguments = (*score, *strengths, "--batch", "1", "-o", "score", *MODEL)
    victim = start(arguments, work, folder / "log-0", STOP + 4)
    others = [
        start((*arguments, "--json", f"{it}.json"), work, folder / f"log-{it}")
        for it in range(1, SCORE_PROCESSES)
    ]
    wrong = _ended(others, [victim])
    cards = {(work / f"{it}.json").read_bytes() for it in range(1, SCORE_PROCESSES)}
    kept = (work / "score" / "store" / STORE).read_bytes().splitlines()
    batches = [json.loads(line)["batch"] for line in kept]
    if len(set(batches)) != len(batches) or len(batches) != 12 or len(cards) != 1:
        wrong.append(
            f"{len(set(batches))} batches of 12 kept in {len(kept)} lines; {len(cards)} cards"
        )
    return {"processes": SCORE_PROCESSES, "killed": 1, "batches": len(set(batches)),
            "lines": len(kept), "wrong": wrong}  # fmt: skip
