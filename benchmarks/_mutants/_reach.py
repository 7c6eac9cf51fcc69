"""Which tests reach which changes: asked once, of a copy that notes where it has been."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from _mutants._forks import in_fork, warm
from _mutants._sites import probed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from _mutants._sites import Site

LONGEST = 240  # seconds of processor time that a file of tests may take
FIRST = 2  # tests of each file that come before the rest


class Reach:
    """What each file of tests reaches, kept in a file.

    Args:
        tree: The copy, which holds the modules as they are.
        sites: Every change that will be tried.
        place: Where it is kept.
    """

    def __init__(self, tree: Path, sites: Sequence[Site], place: Path) -> None:
        self._tree = tree
        self._sites = sites
        self._place = place
        self._keys = {site.key for site in sites}
        self._files: dict[str, Any] = {}
        if place.is_file():
            self._files = json.loads(place.read_text(encoding="utf-8"))

    def ask(self, files: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Run the files of tests that have not said it yet; say which, and how long it took."""
        due = [file for file in files if not self._knows(file)]
        if not due:
            return
        kept = self._probe()
        try:
            for file in due:
                done = in_fork(self._tree, [file], LONGEST)
                warm(done.modules)
                self._files[file] = self._read(file, done.lines)
                self._place.write_text(json.dumps(self._files), encoding="utf-8")
                yield file, done.seconds
        finally:
            for path, content in kept.items():
                path.write_bytes(content)
                for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                    compiled.unlink()

    def tests(self, key: str, files: Sequence[str], budget: float) -> list[str]:
        """Return the tests that reach a change, those that are likely to notice it first.

        Args:
            key: Of the change.
            files: Of tests.
            budget: Seconds of processor time that all of them together may take.
        """
        chosen = [self._of_file(key, self._files[file]) for file in files]
        chosen = sorted(filter(None, chosen), key=lambda those: those[0][0])
        order = [test for those in chosen for test in those[:FIRST]]
        order += [test for those in chosen for test in those[FIRST:]]
        names, left = [], budget
        for seconds, name in order:
            left -= seconds
            if left < 0 and names:
                break
            names.append(name)
        return names

    def seconds(self, names: Sequence[str]) -> float:
        """Return how long tests took."""
        return float(sum(self._files[name.split("::")[0]]["seconds"][name] for name in names))

    def _knows(self, file: str) -> bool:
        held = self._files.get(file)
        return (
            held is not None and held["sha"] == self._sha(file) and self._keys <= set(held["known"])
        )

    def _sha(self, file: str) -> str:
        return hashlib.sha256((self._tree / file).read_bytes()).hexdigest()

    def _probe(self) -> dict[Path, bytes]:
        kept = {}
        for name in {site.file for site in self._sites}:
            path = self._tree / name
            statements: dict[int, list[str]] = {}
            for site in self._sites:
                if site.file == name:
                    statements.setdefault(site.statement, []).append(site.key)
            kept[path] = path.read_bytes()
            path.write_text(probed(kept[path], statements), encoding="utf-8")
        return kept

    def _read(self, file: str, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Bring what a run of a file said together; a fixture's part counts for all its tests."""
        calls: dict[str, list[str]] = {}
        seconds: dict[str, float] = {}
        shared: set[str] = set()
        bad = {line["test"] for line in lines if line.get("failed")}
        for line in lines:
            shared.update(line.get("import", ()))
            if line.get("when") == "call":
                calls[line["test"]] = line["hit"]
            elif "hit" in line:
                shared.update(line["hit"])
            if "seconds" in line and line["test"] not in bad:
                seconds[line["test"]] = round(line["seconds"], 4)
        return {
            "sha": self._sha(file),
            "known": sorted(self._keys),
            "shared": sorted(shared),
            "calls": calls,
            "seconds": seconds,
            "failed": sorted(bad),
        }

    @staticmethod
    def _of_file(key: str, held: dict[str, Any]) -> list[tuple[float, str]]:
        """The tests of a file that reach a change, the quickest first."""
        whole = key in held["shared"]
        return sorted(
            (seconds, name)
            for name, seconds in held["seconds"].items()
            if key in held["calls"].get(name, ()) or whole
        )
