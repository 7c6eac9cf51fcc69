"""Batches on a local Ray of which actors, the driver, or both are killed.

The driver is forked, as the processes of :mod:`_batch_kills` are, and starts a Ray of its own with
an actor a CPU; the actors are processes that Ray starts, with a tiny model each.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from _kill_points import start
from _together import noting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _kill_points import Child

    import refhooks as rh

VICTIMS = ("actor", "driver", "both")
PATIENCE = 1200.0  # seconds until an actor is there
JOBS, OUT, BATCH = "jobs.jsonl", "out", 4


def tiny_editor(made: Path, actors: Path) -> rh.Editor:
    """Return an editor in an actor, which leaves its number, and notes what it renames.

    Args:
        made: Where it notes.
        actors: A folder for a file that is called as the process.
    """
    from kills import register_tiny  # noqa: PLC0415  which imports this file

    import refhooks as rh  # noqa: PLC0415  only where it is needed

    register_tiny()
    (actors / str(os.getpid())).touch()
    noting(made)()
    return rh.Editor.from_pretrained("tiny")


def drive(folder: Path, made: Path, actors: Path, **options: Any) -> Any:
    """Make the jobs of a folder by actors; return the summary."""
    from refhooks import batch  # noqa: PLC0415  after the process was forked

    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # of the actors
    return batch.run(
        folder / JOBS, out=folder / OUT, most=BATCH, ray=batch.Ray(num_cpus=1),
        model=functools.partial(tiny_editor, made, actors), **options,
    )  # fmt: skip


def living(actors: Path) -> list[int]:
    """Return the numbers of the actors that live."""
    numbers = (int(path.name) for path in actors.iterdir())
    return [number for number in numbers if _is_actor(number)]


def _is_actor(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"ray::")
    except OSError:
        return False


@attrs.define
class Driven:
    """A driver with its actors."""

    folder: Path
    log: Path
    made: Path
    draw: random.Random = attrs.field(factory=lambda: random.Random(0))  # noqa: S311  no secret
    child: Child | None = None

    @property
    def actors(self) -> Path:
        """Where actors leave their numbers."""
        return self.folder.parent / "actors"

    def keep_up(self) -> None:
        """Start the driver if there is none."""
        if self.child is None:
            self.actors.mkdir(exist_ok=True)
            self.child = start((), self.folder, self.log, points=False, does=self._drive)

    def _drive(self, _arguments: Sequence[str]) -> int:
        summary = drive(self.folder, self.made, self.actors)
        return 3 if summary.failed or summary.left else 0

    def kill(self, which: str) -> bool:
        """Kill an actor, the driver, or both, with no warning; ``False``: all was made before."""
        if which != "driver":
            numbers = self._awaited()
            if not numbers:
                return False
            os.kill(self.draw.choice(numbers), signal.SIGKILL)
        if which != "actor" and self.child is not None:
            os.kill(self.child.process, signal.SIGKILL)
            self.child.end()
            self.child = None
        return True

    def _awaited(self) -> list[int]:
        """Return the actors that live, once there are any; none where the driver has ended."""
        began = time.monotonic()
        while not (found := living(self.actors)):
            if self._has_ended():
                break
            if time.monotonic() - began > PATIENCE:
                raise SystemExit("no actor comes up")
            time.sleep(0.05)
        return found

    def _has_ended(self) -> bool:
        """Whether the driver has; whoever waits for it still learns how."""
        if self.child is None:
            return True
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.child.process, how) is not None

    def end(self) -> list[str]:
        """Wait for its end; return what is wrong."""
        if self.child is None:
            return []
        status = self.child.end()
        self.child = None
        wrong = [f"the driver ended with {status}"] if status else []
        time.sleep(5.0)  # Ray ends its processes
        return wrong + [f"the actor {number} is left" for number in living(self.actors)]


def actors_memory(folder: Path, made: Path, edits: int) -> dict[str, float]:
    """Run a list undisturbed; return how much more memory driver and actors take with 100 edits.

    The greatest sizes at a quarter of the edits, and at the end; of the actors the one that grew
    most.
    """
    actors = folder.parent / "actors-memory"
    actors.mkdir(exist_ok=True)
    seen: list[tuple[int, dict[str, float]]] = []

    def look(progress: Any) -> None:
        sizes = {f"actor {number}": _peak(number) for number in living(actors)}
        seen.append((progress.done, {"driver": _peak(os.getpid()), **sizes}))

    drive(folder, made, actors, progress=look)
    early = next(sizes for done, sizes in seen if done >= edits // 4)
    late = seen[-1][1]
    hundreds = max(edits - edits // 4, 1) / 100
    grown = {name: late[name] - early[name] for name in early if name in late}
    actor = max(value for name, value in grown.items() if name != "driver")
    return {
        "edits": edits,
        "driver_mib": round(late["driver"], 1),
        "driver_mib_per_100_edits": round(grown["driver"] / hundreds, 3),
        "actor_mib": round(max(size for name, size in late.items() if name != "driver"), 1),
        "actor_mib_per_100_edits": round(actor / hundreds, 3),
    }


def _peak(number: int) -> float:
    """The greatest size of a process so far, in MiB."""
    for line in Path(f"/proc/{number}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0
