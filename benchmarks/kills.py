"""Commands that are killed: no file is half-written, nothing is left behind, and they go on.

    python benchmarks/kills.py [--kills 200] [--seed 0] [--only edit,grid] [--json FILE]

Each kill runs a command on a tiny model in a folder with older outputs, stops it at one of its
points (``_kill_points``), sends SIGKILL, SIGTERM or SIGINT, and looks: every file is the old one or
the new one, byte for byte; of the score's store every line but the last is whole; the status is
right. Then the same command runs again: it ends with 0, every file equals that of a clean run, and
no hidden file is left. A tenth of the kills hit a fresh process of the embedded model while it
imports and loads. Last, eight processes share a grid and four a score; some are killed.

What is done is kept in ``build/kills.jsonl``; the same command goes on from there.

    python benchmarks/kills.py --batch local --kills 100 [--edits 1000]

kills batches instead (``_batch_kills``), in ``build/kills-batch-local``, where it goes on as well;
``--batch ray`` those that actors of Ray make (``_ray_kills``).
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
import numpy as np
from _batch_kills import kill_batches
from _kill_checks import Files, differing, files, halves, hidden, put
from _kill_points import IMPORTS, start
from _timing import write_json
from _together import share_grid, share_score

import refhooks as rh
from refhooks.score import Pair
from refhooks.testing._tiny import picture, tiny_pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[1]
STATE = ROOT / "build" / "kills.jsonl"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STATUS = {
    signal.SIGKILL: {-signal.SIGKILL},
    signal.SIGTERM: {143},
    signal.SIGINT: {130},
}
SIDE = 32
MODEL = ("--model", "tiny")
EDIT = ("edit", "photo.png", "make it night", "--steps", "3", "--embed")
CHAIN = ("chain", "photo.png", "-p", "make it night", "-p", "make it day", "--steps", "2")
GRID = ("grid", "photo.png", "make it night", "--methods", "default", "--strengths", "0,1")
SCORE = ("score", "--methods", "default", "--strengths-only", "--scenes", "1", "--steps", "2")
# (before, then): what made the older outputs, and what is killed.
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "edit": (
        (*EDIT, "--seed", "5", "-o", "out.png"),
        (*EDIT, "--seed", "1", "-o", "out.png"),
    ),
    "jpeg": (
        (*EDIT, "--seed", "5", "-o", "out.jpg"),
        (*EDIT, "--seed", "1", "-o", "out.jpg"),
    ),
    "chain": (
        (*CHAIN, "--seed", "5", "-o", "chain.png"),
        (*CHAIN, "--seed", "1", "-o", "chain.png"),
    ),
    "replay": (
        ("replay", "made.png", "--set", "seed=5", "-o", "again.png"),
        ("replay", "made.png", "-o", "again.png"),
    ),
    "grid": (
        (*GRID, "--seeds", "5", "--steps", "2", "-o", "grid.png", "--plot", "curves.png"),
        (*GRID, "--seeds", "1", "--steps", "2", "-o", "grid.png", "--plot", "curves.png"),
    ),
    "score": (
        (*SCORE, "--strengths", "0", "-o", "score", "--json", "card.json"),
        (*SCORE, "--strengths", "0,1", "-o", "score", "--json", "card.json"),
    ),
}
LOADING = ("edit", "photo.png", "make it night", "--steps", "1", "--seed", "1", "-o", "out.png")


def _pairs(count: int) -> list[Pair]:
    pairs = []
    for number in range(2 * count):
        source, right = (picture(it, (SIDE, SIDE)) for it in (number, number + 10))
        mask = np.zeros((SIDE, SIDE), bool)
        mask[8:20, 8:20] = True
        kind = "local" if number % 2 else "other"
        pairs.append(Pair(source, "make it blue", kind=kind, seed=number, right=right, mask=mask))
    return pairs


def register_tiny() -> None:
    """Make the tiny model an embedded one, ``tiny``; processes that are forked have it too."""
    pipe = tiny_pipeline("plus", "small")
    checkpoint = rh.Checkpoint(output=SIDE**2, reference=SIDE**2, vision=SIDE**2, cfg=2.0, steps=2)
    rh.load_registry().models["tiny"] = rh.EmbeddedModel(
        name="tiny", description="random weights", load=lambda: pipe, checkpoint=checkpoint,
        pairs=_pairs,
    )  # fmt: skip


@attrs.frozen
class Kill:
    """One of them.

    Attributes:
        number: Its place in the plan.
        command: Of :data:`COMMANDS`, or ``loading``.
        point: The number of the point, or of the import, where the command is stopped.
        name: What the point is.
        signal: What is sent.
    """

    number: int
    command: str
    point: int
    name: str
    signal: signal.Signals


@attrs.frozen
class Case:
    """A command, with what lies there before and after it.

    Attributes:
        arguments: Its command line.
        points: The names of its points, in their order.
        old: The files before.
        new: Those after a clean run.
    """

    arguments: tuple[str, ...]
    points: tuple[str, ...]
    old: Files
    new: Files


def run(arguments: Sequence[str], folder: Path, log: Path) -> list[str]:
    """Run a command that must succeed; return its points."""
    child = start(arguments, folder, log)
    names = child.passed()
    status = child.end()
    if status:
        raise SystemExit(f"{arguments} ended with {status}: {log.read_text()[-2000:]}")
    return names


def prepared(work: Path, log: Path, chosen: Sequence[str]) -> dict[str, Case]:
    """Run every command once, and once more for what lies there before it."""
    cases = {}
    for name in chosen:
        earlier, arguments = ((*it, *MODEL) for it in COMMANDS[name])
        put({}, work)
        picture(1, (40, 32)).save(work / "photo.png")
        if name == "replay":
            run((*EDIT, "--seed", "1", "-o", "made.png", *MODEL), work, log)
        run(earlier, work, log)
        old = files(work)
        points = run(arguments, work, log)
        new = files(work)
        put(old, work)
        run(arguments, work, log)
        wrong = differing(files(work), new)
        if wrong or hidden(new):
            raise SystemExit(f"{name}: two clean runs differ in {wrong}, hidden: {hidden(new)}")
        cases[name] = Case(arguments, tuple(points), old, new)
        print(f"{name}: {len(points)} points", flush=True)
    return cases


def planned(cases: Mapping[str, Case], kills: int, seed: int, loading: int) -> list[Kill]:
    """Choose the kills: every kind of point of every command with every signal, in turn."""
    draw = random.Random(seed)  # noqa: S311  no secret
    kinds: dict[tuple[str, str, signal.Signals], list[int]] = {}
    for name, case in cases.items():
        for (place, point), number in itertools.product(enumerate(case.points, 1), SIGNALS):
            kinds.setdefault((name, point, number), []).append(place)
    for places in kinds.values():
        draw.shuffle(places)
    order = list(kinds)
    draw.shuffle(order)
    few = kills // 10 if loading else 0
    chosen: list[tuple[str, int, str, signal.Signals]] = [
        ("loading", 1 + draw.randrange(loading), "while loading", SIGNALS[it % 3])
        for it in range(few)
    ]
    for turn in itertools.count():
        left = [kind for kind in order if len(kinds[kind]) > turn]
        chosen += [(kind[0], kinds[kind][turn], kind[1], kind[2]) for kind in left]
        if len(chosen) >= kills or not left:
            break
    return [Kill(number, *entry) for number, entry in enumerate(chosen[:kills])]


def killed(kill: Kill, case: Case, work: Path, log: Path) -> list[str]:
    """Kill a command and run it again; return what is wrong."""
    put(case.old, work)
    if kill.command == "loading":
        status, expected = _kill_fresh(kill, case, work, log)
    else:
        child = start(case.arguments, work, log, kill.point)
        if not child.stopped():
            return [f"it ended with {child.end()} before its point: {log.read_text()[-500:]}"]
        os.kill(child.process, kill.signal)
        status, expected = child.end(), STATUS[kill.signal]
    wrong = list(halves(files(work), case.old, case.new))
    if status not in expected:
        wrong.append(f"it ended with {status}, not {sorted(expected)}: {log.read_text()[-500:]}")
    again = start(case.arguments, work, log)
    again.passed()
    status = again.end()
    if status:
        wrong.append(f"the next run ended with {status}: {log.read_text()[-500:]}")
    after = files(work)
    wrong += [f"{name} is left behind" for name in hidden(after)]
    return wrong + [f"{name} differs from a clean run's" for name in differing(after, case.new)
                    if name not in hidden(after)]  # fmt: skip


def _kill_fresh(kill: Kill, case: Case, work: Path, log: Path) -> tuple[int, set[int]]:
    """Kill a process that imports and loads; before it listens to signals it just ends of them."""
    reader, writer = os.pipe()
    command = [sys.executable, "-c", IMPORTS, str(kill.point), str(writer), *case.arguments]
    with log.open("wb") as file:
        child = subprocess.Popen(  # noqa: S603  ours
            command, cwd=work, pass_fds=[writer], stdout=file, stderr=file,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )  # fmt: skip
    os.close(writer)
    os.read(reader, 1)
    child.send_signal(kill.signal)
    status = child.wait()
    os.close(reader)  # not before: at its end the child writes to it
    return status, STATUS[kill.signal] | {-kill.signal}


def imports(case: Case, work: Path, log: Path) -> int:
    """Return how many modules a fresh process asks for."""
    put(case.old, work)
    reader, writer = os.pipe()
    command = [sys.executable, "-c", IMPORTS, "0", str(writer), *case.arguments]
    with log.open("wb") as file:
        subprocess.run(  # noqa: S603  ours
            command, cwd=work, pass_fds=[writer], stdout=file, stderr=file, check=True
        )
    os.close(writer)
    count = int(os.read(reader, 100))
    os.close(reader)
    return count


def loading_case(work: Path, log: Path) -> Case:
    """Return that of the embedded model, which a fresh process loads."""
    put({}, work)
    picture(1, (40, 32)).save(work / "photo.png")
    picture(2, (40, 32)).save(work / "out.png")
    old = files(work)
    run(LOADING, work, log)
    return Case(LOADING, (), old, files(work))


def done_before(state: Path, plan: Sequence[Kill], told: Mapping[str, Any]) -> dict[int, list[str]]:
    """Return what an earlier run of the same plan has found, by the number of the kill."""
    if not state.exists():
        return {}
    first, *rest = state.read_text(encoding="utf-8").splitlines() or ["{}"]
    if json.loads(first) != told:
        return {}
    found = [json.loads(line) for line in rest]
    return {it["kill"]: it["wrong"] for it in found if it["kill"] < len(plan)}


def run_plan(
    plan: Sequence[Kill], cases: Mapping[str, Case], folder: Path, told: Mapping[str, Any],
    state: Path = STATE,
) -> dict[int, list[str]]:  # fmt: skip
    """Do the kills that no earlier run has done; return what is wrong, by their numbers."""
    found = done_before(state, plan, told)
    if not found:
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps(told) + "\n", encoding="utf-8")
    with state.open("a", encoding="utf-8") as lasting:
        for kill in plan:
            if kill.number in found:
                continue
            wrong = killed(kill, cases[kill.command], folder / "work", folder / "log")
            found[kill.number] = wrong
            lasting.write(json.dumps({"kill": kill.number, "wrong": wrong}) + "\n")
            lasting.flush()
            for text in wrong:
                print(f"{kill.number} {kill.command}, {kill.name} ({kill.point}),"
                      f" {kill.signal.name}: {text}", flush=True)  # fmt: skip
    return found


def counted(plan: Sequence[Kill], found: Mapping[int, list[str]], name: str) -> dict[str, Any]:
    """Return how many kills there were of each value of an attribute, and how many went wrong."""
    table: dict[str, dict[str, int]] = {}
    for kill in plan:
        value = getattr(kill, name)
        row = table.setdefault(getattr(value, "name", value), {"kills": 0, "wrong": 0})
        row["kills"] += 1
        row["wrong"] += bool(found[kill.number])
    return dict(sorted(table.items()))


@click.command()
@click.option("--kills", default=200, type=click.IntRange(min=1), show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the choice.")
@click.option("--only", default=",".join(COMMANDS), help="Commands; by default all.")
@click.option("--loading/--no-loading", default=True, help="Fresh processes too.")
@click.option("--json", "json_file", default=ROOT / "benchmarks" / "results" / "kills.json",
              type=click.Path(path_type=Path))  # fmt: skip
@click.option("--batch", type=click.Choice(("local", "ray")), help="Kill batches instead.")
@click.option("--edits", default=1000, type=click.IntRange(min=20), help="Of a batch.")
def main(
    kills: int, seed: int, only: str, loading: bool, json_file: Path, batch: str | None, edits: int
) -> None:
    """Kill commands, and look at what is left."""
    began = time.monotonic()
    register_tiny()
    if batch is not None:
        sys.exit(kill_batches(batch, kills, edits, seed, ROOT))
    with tempfile.TemporaryDirectory(prefix="kills-") as place:
        folder = Path(place)
        work, log = folder / "work", folder / "log"
        cases = prepared(work, log, only.split(","))
        counts = 0
        if loading:
            cases["loading"] = loading_case(work, log)
            counts = imports(cases["loading"], work, log)
        points = {name: case for name, case in cases.items() if case.points}
        plan = planned(points, kills, seed, counts)
        told = {"kills": kills, "seed": seed, "only": only, "loading": counts > 0,
                "points": {name: len(case.points) for name, case in points.items()}}  # fmt: skip
        found = run_plan(plan, cases, folder, told)
        shared = {"grid": share_grid(folder, GRID), "score": share_score(folder, SCORE)}
    wrong = sum(map(bool, found.values()))
    result = {
        **told, "wrong": wrong, "minutes": round((time.monotonic() - began) / 60, 1),
        "by command": counted(plan, found, "command"),
        "by signal": counted(plan, found, "signal"),
        "by point": counted(plan, found, "name"), "several processes": shared,
    }  # fmt: skip
    write_json(result, json_file)
    print(f"{len(found)} kills, {wrong} wrong; several processes: {shared}")
    sys.exit(bool(wrong or any(it["wrong"] for it in shared.values())))


if __name__ == "__main__":
    main()
