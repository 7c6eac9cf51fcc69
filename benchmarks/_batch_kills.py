"""Batches that are killed: every job is made once, and as if nobody had killed anything.

Two processes share one list and one folder; at a random moment one of them, or both, are killed by
SIGKILL, and started again. After each kill every picture that is there is looked at; at the end the
folder is that of an undisturbed run, to the byte. On Ray it is an actor, the driver, or both
(``_ray_kills``), and the undisturbed run is one without Ray.
"""

from __future__ import annotations

import collections
import json
import os
import random
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _ray_kills
import attrs
from _kill_checks import Files, differing, files, hidden
from _kill_points import start
from _timing import write_json
from _together import noting

from refhooks.testing._tiny import picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _kill_points import Child

VICTIMS = ("first", "second", "both")
PICTURES = 8
BATCH = 4  # jobs of a pass
JOBS, OUT = "jobs.jsonl", "out"
COMMAND = ("batch", JOBS, "-o", OUT, "--batch", str(BATCH), "--model", "tiny")
MEMORY = 1000  # edits, undisturbed
PATIENCE = 1200.0  # seconds without a new picture; Ray takes its time on a busy machine


def write_jobs(folder: Path, edits: int) -> None:
    """Write a list of jobs, and their pictures."""
    folder.mkdir()
    for number in range(PICTURES):
        picture(number, (32, 32)).save(folder / f"{number}.png")
    jobs = [
        {"id": f"{number:05d}", "image": f"{number % PICTURES}.png", "steps": 2,
         "prompt": f"make it {number % 5}", "seed": number}
        for number in range(edits)
    ]  # fmt: skip
    (folder / JOBS).write_text("".join(json.dumps(job) + "\n" for job in jobs), encoding="utf-8")


def alone(folder: Path, log: Path) -> Files:
    """Run a list to its end, undisturbed; return the outputs."""
    child = start(COMMAND, folder, log, points=False)
    if child.end():
        raise SystemExit(log.read_text()[-2000:])
    return files(folder / OUT)


def memory(folder: Path, edits: int) -> dict[str, float]:
    """Run a list in this process; return how much more memory it takes with each 100 edits.

    The greatest size at a quarter of the edits, and at the end.
    """
    from refhooks.batch import run  # noqa: PLC0415  after the tiny model is registered

    seen: list[tuple[int, int]] = []

    def look(progress: Any) -> None:
        seen.append((progress.done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))

    run(folder / JOBS, out=folder / OUT, model="tiny", most=BATCH, progress=look)
    early = next(size for done, size in seen if done >= edits // 4)
    grown = (seen[-1][1] - early) / 1024
    hundreds = max(edits - edits // 4, 1) / 100
    return {"edits": edits, "mib_at_a_quarter": round(early / 1024, 1),
            "mib_grown": round(grown, 2),
            "mib_per_100_edits": round(grown / hundreds, 3)}  # fmt: skip


@attrs.define
class Pair:
    """Two processes on one list."""

    folder: Path
    log: Path
    made: Path
    children: dict[str, Child] = attrs.field(factory=dict)

    def keep_up(self) -> None:
        """Start the ones that are not there."""
        for name in VICTIMS[:2]:
            if name not in self.children:
                log = self.log.with_name(f"{self.log.name}-{name}")
                self.children[name] = start(
                    COMMAND, self.folder, log, points=False, before=noting(self.made)
                )

    def kill(self, which: str) -> bool:
        """Kill one of them, or both, with no warning; ``True``."""
        for name in VICTIMS[:2] if which == "both" else (which,):
            child = self.children.pop(name)
            os.kill(child.process, signal.SIGKILL)
            child.end()
        return True

    def end(self) -> list[str]:
        """Wait for both; return what is wrong."""
        statuses = [child.end() for child in self.children.values()]
        self.children.clear()
        return [f"a process ended with {status}" for status in statuses if status]


def _count(folder: Path) -> int:
    return len(list(folder.glob("*.png"))) if folder.is_dir() else 0


def _wait_for(folder: Path, count: int) -> None:
    """Wait until so many pictures are there."""
    began = time.monotonic()
    while _count(folder) < count:
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"{_count(folder)} pictures, and no more come")
        time.sleep(0.005)


def pictures(folder: Path) -> Files:
    """Return the pictures that are there by now; other processes go on meanwhile."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[!.]*.png"))}


def spoiled(found: Files, right: Files) -> Iterator[str]:
    """Yield what is half-written, or another picture than that of an undisturbed run."""
    for name, data in found.items():
        if not Path(name).name.startswith(".") and data != right.get(name):
            yield f"{name} is not that of an undisturbed run"


def prepared(folder: Path, edits: int) -> Files:
    """Write the lists, and run one undisturbed, unless that was done; return its outputs."""
    clean, work = folder / "clean", folder / "work"
    if not clean.exists():
        write_jobs(clean, edits)
    if not work.exists():
        write_jobs(work, edits)
    return alone(clean, folder / "log-clean")


def share_batch(
    folder: Path, kills: int, edits: int, seed: int, where: str = "local"
) -> dict[str, Any]:
    """Kill so many times while so many edits are made; return what came of it.

    Args:
        folder: Empty, or what an earlier call with the same arguments left, which goes on.
        kills: How often a process, or both, are killed.
        edits: Jobs of the list.
        seed: Of the moments, and of who is killed.
        where: ``local`` or ``ray``.
    """
    draw = random.Random(seed)  # noqa: S311  no secret
    right = prepared(folder, edits)
    out, state = folder / "work" / OUT, folder / "state.jsonl"
    last = edits - edits // 20 - 1  # some are left for the end
    victims = VICTIMS if where == "local" else _ray_kills.VICTIMS
    plan = [
        (moment, draw.choice(victims), draw.uniform(0.0, 0.3))
        for moment in sorted(draw.randint(1, last) for _ in range(kills))
    ]
    done = [json.loads(line) for line in state.read_text().splitlines()] if state.exists() else []
    processes = Pair if where == "local" else _ray_kills.Driven
    pair = processes(folder / "work", folder / "log", folder / "made")
    with state.open("a", encoding="utf-8") as lasting:
        for moment, which, later in plan[len(done) :]:
            pair.keep_up()
            _wait_for(out, moment)
            time.sleep(later)
            killed = which if pair.kill(which) else "nobody"
            done.append({"killed": killed, "wrong": list(spoiled(pictures(out), right))})
            lasting.write(json.dumps(done[-1]) + "\n")
            lasting.flush()
    pair.keep_up()
    wrong = [text for kill in done for text in kill["wrong"]] + pair.end()
    again = start(COMMAND, folder / "work", folder / "log", points=False)
    if again.end():  # which sweeps what the killed ones left
        wrong.append("the last run failed")
    wrong += [f"{name} differs" for name in differing(files(out), right)]
    wrong += [f"{name} is left" for name in hidden(files(out))]
    times = collections.Counter((folder / "made").read_text().split())
    twice = sorted(name for name, count in times.items() if count > 1 and name.endswith(".png"))
    killed = collections.Counter(kill["killed"] for kill in done)
    return {
        "kills": kills, "edits": edits, "killed": dict(sorted(killed.items())),
        "ids": len(right), "made_twice": twice, "wrong": wrong,
    }  # fmt: skip


def kill_batches(where: str, kills: int, edits: int, seed: int, root: Path) -> bool:
    """Kill batches, and write what came of it; return whether anything is wrong.

    Args:
        where: ``local`` or ``ray``.
        kills: How often.
        edits: Jobs of the list.
        seed: Of the moments.
        root: Of the project.
    """
    folder = root / "build" / f"kills-batch-{where}"
    folder.mkdir(parents=True, exist_ok=True)
    result = share_batch(folder, kills, edits, seed, where)
    place = folder / "memory"
    if not place.exists():
        write_jobs(place, MEMORY)
    if where == "local":
        result["memory"] = memory(place, MEMORY)
    else:
        result["memory"] = _ray_kills.actors_memory(place, folder / "made-memory", MEMORY)
    place = root / "benchmarks" / "results" / "kills-batch.json"
    kept = json.loads(place.read_text()) if place.exists() else {}
    command = f"kills.py --batch {where} --kills {kills} --edits {edits} --seed {seed}"
    write_json({**kept, where: {"command": command, **result}}, place)
    shutil.rmtree(folder)
    print(f"{where}: {kills} kills over {edits} edits, {len(result['wrong'])} wrong")
    return bool(result["wrong"] or result["made_twice"])
