"""A command in a process of its own that stops at one of its points, and waits there to be killed.

The process is forked from one that has imported everything, so it costs what the command does. The
points are the loading of the model, every step, the middle of what is written into an unfinished
file or into a score's store, both sides of every rename, every flush to the disk, and every removal
of an unfinished file or a claim.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
from diffusers import FlowMatchEulerDiscreteScheduler

import refhooks as rh
from refhooks.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STORE = "batches.jsonl"
HIDDEN = (".part", ".claim")
FAILED = 99  # what no command exits with


@attrs.define
class Points:
    """Where a process comes by.

    Attributes:
        out: A pipe to the parent: the names of the points, or one byte once it has stopped.
        stop: The number of the point where it stops, from 1; ``None``: nowhere, it names all.
    """

    out: int
    stop: int | None
    _seen: int = 0

    def __call__(self, name: str) -> None:
        """Come by."""
        self._seen += 1
        if self.stop is None:
            os.write(self.out, f"{name}\n".encode())
        elif self._seen == self.stop:
            os.write(self.out, b"!")
            while True:  # not pause(): a signal that comes just before it would be missed
                time.sleep(0.01)


class _Halved:
    """A file of which half of each write is on its way when the point comes."""

    def __init__(self, file: Any, come_by: Callable[[], None]) -> None:
        self._file, self._come_by = file, come_by

    def write(self, data: bytes) -> int:
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._come_by()
        return half + int(self._file.write(data[half:]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _around(function: Any, before: Callable[..., object], after: Callable[..., object]) -> Any:
    @functools.wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        before(*arguments)
        result = function(*arguments, **options)
        after(*arguments)
        return result

    return wrapped


def _nothing(*_: object) -> None:
    pass


def set_points(points: Points) -> None:
    """Put the points into this process, for good."""

    def unlinking(path: Any, *_: object) -> None:
        if str(path).endswith(HIDDEN):
            points(f"before removing {Path(path).suffix}")

    def stepping(*_: object) -> None:
        points("between steps")

    opened = Path.open

    def opening(self: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        file = opened(self, mode, *rest, **named)
        writes = "b" in mode and set(mode) & set("wxa+")
        if writes and (self.suffix == ".part" or self.name == STORE):
            return _Halved(file, lambda: points(f"inside {self.suffix}"))
        return file

    def renamed(_from: Any, place: Any) -> None:
        points(f"after renaming to {Path(place).suffix}")

    def renaming(_from: Any, place: Any) -> None:
        points(f"before renaming to {Path(place).suffix}")

    os.replace = _around(os.replace, renaming, renamed)  # pathlib looks it up here
    os.fsync = _around(os.fsync, lambda _: points("before fsync"), lambda _: points("after fsync"))
    os.unlink = _around(os.unlink, unlinking, _nothing)
    Path.open = opening  # type: ignore[method-assign]
    step = FlowMatchEulerDiscreteScheduler.step
    FlowMatchEulerDiscreteScheduler.step = _around(step, stepping, _nothing)
    load = rh.Editor.from_pretrained
    loading = (
        functools.partial(points, "before loading"),
        functools.partial(points, "after loading"),
    )
    rh.Editor.from_pretrained = _around(load, lambda *_: loading[0](), lambda *_: loading[1]())  # type: ignore[method-assign]


@attrs.frozen
class Child:
    """A command that runs.

    Attributes:
        process: Its number.
        pipe: What its points write.
    """

    process: int
    pipe: int

    def stopped(self) -> bool:
        """Wait until it has stopped at its point; ``False``: it ended without."""
        return os.read(self.pipe, 1) == b"!"

    def passed(self) -> list[str]:
        """Return the names of the points of a command that was to stop nowhere, at its end."""
        with open(self.pipe, encoding="utf-8", closefd=False) as names:
            return names.read().splitlines()

    def end(self) -> int:
        """Wait for its end; return its status, or the number of the signal below 0."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        os.close(self.pipe)
        return status


def start(
    arguments: Sequence[str], folder: Path, log: Path, stop: int | None = None, *,
    points: bool = True, before: Callable[[], object] = _nothing,
    does: Callable[[Sequence[str]], int] | None = None,
) -> Child:  # fmt: skip
    """Run ``refhooks`` with arguments in a folder, in a new process.

    Args:
        arguments: Of the command line.
        folder: Its working folder.
        log: Where what it prints goes.
        stop: The number of the point where it stops; ``None``: it names them all.
        points: Whether it has points.
        before: Called in the new process first.
        does: Called in place of ``refhooks``; returns the status.
    """
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return Child(process, reader)
    status = FAILED
    with contextlib.suppress(BaseException):
        os.close(reader)
        os.chdir(folder)
        file = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(file, 1)
        os.dup2(file, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has none
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        before()
        if points:
            set_points(Points(writer, stop))
        status = (does or _run)(arguments)
    os._exit(status)


def _run(arguments: Sequence[str]) -> int:
    try:
        main(list(arguments), prog_name="refhooks")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except BaseException:  # noqa: BLE001  as the interpreter would, and then it ends
        traceback.print_exc()
        return FAILED
    finally:
        sys.stdout.flush()
    return FAILED


IMPORTS = """
import os, sys, time
stop, out, seen = int(sys.argv[1]), int(sys.argv[2]), 0
def hook(event, arguments):
    global seen
    if event == "import":
        seen += 1
        if seen == stop:
            os.write(out, b"!")
            while True:
                time.sleep(0.01)
sys.addaudithook(hook)
sys.argv = ["refhooks", *sys.argv[3:]]
from refhooks.cli import main
try:
    main(prog_name="refhooks")
finally:
    os.write(out, str(seen).encode())
"""
"""A process that imports everything itself, and stops at one of its imports; at its end it says how
many it made."""
