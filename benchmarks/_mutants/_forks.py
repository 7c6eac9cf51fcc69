"""Runs tests in forked processes, each of which has torch already and no module of the tree."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import attrs

from _mutants import _child

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_UNSHARED = ("torch._inductor", "torch._dynamo", "triton")  # they start threads and processes
WAIT = 12  # times the processor time, after which a process that does nothing is ended


@attrs.frozen
class Done:
    """How a process ended.

    Attributes:
        lines: What it wrote.
        status: Of pytest; ``None`` where it was ended.
        how: ``ended``, ``time``, or the exit code of one that died.
        failed: The first test that failed, if any did.
        seconds: Of processor time.
    """

    lines: list[dict[str, Any]]
    status: int | None
    how: str
    failed: str | None
    seconds: float

    @property
    def modules(self) -> list[str]:
        """What it had imported of others in the end; nothing where it was ended."""
        return next((line["modules"] for line in self.lines if "modules" in line), [])


def copied(root: Path, tree: Path) -> None:
    """Copy what git has, and what it would not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, check=True,  # noqa: S607
        capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, listed):
        if (root / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, tree / name)


def warm(names: Sequence[str]) -> None:
    """Import other people's modules, which no change is in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            if name in sys.modules or name.startswith(_UNSHARED):
                continue
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def in_fork(
    tree: Path, arguments: Sequence[str], seconds: int, wanted: Sequence[str] | None = None
) -> Done:
    """Run tests in a process of its own."""
    out = tree.parent / "said.jsonl"
    out.unlink(missing_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    began = _children_time()
    process = os.fork()
    if process == 0:
        _in_child(tree, arguments, seconds, out, wanted)
    code = _wait(process, WAIT * seconds)
    lines = [json.loads(line) for line in _lines(out)]
    status = next((line["status"] for line in lines if "status" in line), None)
    failed = next((line["test"] for line in lines if line.get("failed")), None)
    how = "ended" if status is not None else "time" if code in _TIME else f"exit code {code}"
    return Done(lines, status, how, failed, _children_time() - began)


_TIME = (-signal.SIGXCPU, -signal.SIGKILL)


def _in_child(
    tree: Path, arguments: Sequence[str], seconds: int, out: Path, wanted: Sequence[str] | None
) -> None:
    status = 70
    try:
        os.setsid()
        _child.limit(seconds)
        status = _child.run(tree, arguments, out, wanted)
    except BaseException:  # noqa: BLE001  of the tool, not of a test
        out.with_name("broke.txt").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(status)


def _wait(process: int, most: float) -> int:
    """Wait, and end the process and those that it has started."""
    handle = os.pidfd_open(process)
    try:
        ended, _, _ = select.select([handle], [], [], most)
        if not ended:
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
    finally:
        os.close(handle)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def _children_time() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _lines(path: Path) -> list[str]:
    """Whole lines; the last one is torn where a process was ended."""
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


@contextlib.contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    """Let a module of the copy be another one, and forget what was compiled of it."""
    kept = path.read_bytes()
    try:
        _write(path, content)
        yield
    finally:
        _write(path, kept)


def _write(path: Path, content: bytes) -> None:
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_bytes(content)
    os.utime(path, (time.time(), time.time()))
