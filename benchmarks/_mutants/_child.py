"""What a forked process does: runs tests on the copy of the tree, and says what they did."""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import resource
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MODULES = ("refhooks", "refhooks_")  # what is never imported before a process is forked
OPTIONS = (
    "-q", "--timeout=0", "-p", "no:cacheprovider", "-p", "no:xdist",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip


class Watch:
    """A plugin of pytest: chooses tests, orders them, and writes what each one reached.

    Args:
        out: File that gets a line of JSON for each test.
        wanted: Ids of the tests that run, in their order; ``None``: all.
    """

    def __init__(self, out: Path, wanted: Sequence[str] | None) -> None:
        self._out = out
        self._wanted = wanted
        self._began = 0.0
        builtins._mutants_seen = set()  # type: ignore[attr-defined]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave the wanted tests, in their order."""
        self._say({"import": self._reached()})
        if self._wanted is not None:
            found = {item.nodeid: item for item in items}
            items[:] = [found[name] for name in self._wanted if name in found]

    def pytest_runtest_logstart(self) -> None:
        """Begin to count."""
        self._began = time.process_time()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Write what a part of a test reached, and whether it failed."""
        said = {"test": report.nodeid, "when": report.when, "hit": self._reached()}
        if report.failed:
            said["failed"] = True
        if report.when == "teardown":
            said["seconds"] = time.process_time() - self._began
        self._say(said)

    def pytest_collectreport(self, report: Any) -> None:
        """Write that a file could not be imported."""
        if report.failed:
            self._say({"test": report.nodeid, "when": "collect", "failed": True})

    def _reached(self) -> list[str]:
        seen: set[str] = builtins._mutants_seen  # type: ignore[attr-defined]
        hit = sorted(seen)
        seen.clear()
        return hit

    def _say(self, said: dict[str, Any]) -> None:
        with self._out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")


def prepare(tree: Path) -> None:
    """Let this process, and those that it starts, find the copy before anything else."""
    os.chdir(tree)
    roots = [str(tree), str(tree / "plugins")]
    sys.path[:] = [*roots, *(path for path in sys.path if "benchmarks" not in path)]
    os.environ["PYTHONPATH"] = os.pathsep.join(roots)
    os.environ["OMP_NUM_THREADS"] = "1"


def run(tree: Path, arguments: Sequence[str], out: Path, wanted: Sequence[str] | None) -> int:
    """Run pytest on the copy; what it prints goes nowhere."""
    prepare(tree)
    with silence():
        status = pytest.main([*OPTIONS, *arguments], plugins=[Watch(out, wanted)])
    foreign = [
        name
        for name, module in list(sys.modules.items())
        if not name.startswith(MODULES)
        and "site-packages" in (getattr(module, "__file__", None) or "")
    ]
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"status": int(status), "modules": foreign}) + "\n")
    return int(status)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send what is printed, by processes that tests start as well, nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    yield


def limit(seconds: int) -> None:
    """End this process after so much processor time, without a file of its memory."""
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
