"""Cases in numbered blocks, each from a seed of its own, so that a stopped run goes on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.configuration import set_hypothesis_home_dir

from _fuzz._files import Recipes, Strategies
from _fuzz._lines import Lines
from _fuzz._loras import Loras
from _fuzz._masks import Masks
from _fuzz._pictures import Pictures
from _fuzz._watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import SearchStrategy

KINDS: dict[str, Any] = {
    "strategies": Strategies,
    "recipes": Recipes,
    "lines": Lines,
    "masks": Masks,
    "pictures": Pictures,
    "loras": Loras,
}
BLOCK = 1000  # a process each, which takes as long as 300 cases
MOST_FAILURES = 50  # of a kind, that are kept


@attrs.define
class Found:
    """What became of cases: counts, the worst, and what failed."""

    cases: int = 0
    results: int = 0
    slowest: float = 0.0
    peak: float = 0.0
    seconds: float = 0.0
    failures: list[dict[str, Any]] = attrs.field(factory=list)

    def add(self, other: Found) -> None:
        """Count those of another block as well."""
        self.cases += other.cases
        self.results += other.results
        self.slowest = max(self.slowest, other.slowest)
        self.peak = max(self.peak, other.peak)
        self.seconds += other.seconds
        self.failures = [*self.failures, *other.failures][:MOST_FAILURES]


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder to work in, which is the home, the folder of temporary files and the current one."""
    before, here = dict(os.environ), Path.cwd()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        outer = Path(name)
        folder = outer / "work"
        folder.mkdir()
        set_hypothesis_home_dir(outer / "hypothesis")
        os.environ |= {
            "HOME": name, "XDG_CONFIG_HOME": name, "TMPDIR": str(folder), "HF_HUB_OFFLINE": "1",
        }  # fmt: skip
        tempfile.tempdir = str(folder)
        os.chdir(folder)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield folder
        finally:
            os.chdir(here)
            tempfile.tempdir = None
            os.environ.clear()
            os.environ.update(before)
            set_hypothesis_home_dir(None)


def run_block(kind: Any, folder: Path, number: int, base: int, count: int = BLOCK) -> Found:
    """Run the cases of a block: half of them random, half one step from valid.

    Args:
        kind: One of ``KINDS``, made in this folder.
        folder: Of :func:`workplace`.
        number: Of the block.
        base: The seed of the whole run.
        count: How many cases.
    """
    watch, found = Watch(folder), Found()
    for half, strategy in (("random", kind.random), ("near", kind.near)):
        _run_half(kind, watch, found, strategy, count // 2, {"block": number, "half": half}, base)
    found.peak = watch.peak
    return found


def _run_half(
    kind: Any, watch: Watch, found: Found, strategy: SearchStrategy[Any], count: int,
    label: dict[str, Any], base: int,
) -> None:  # fmt: skip
    told = f"{base} {kind.name} {label['block']} {label['half']}"
    drawn = int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big")

    @seed(drawn)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def every(case: Any) -> None:
        outcome = watch.look(kind.run, case)
        found.cases += 1
        found.results += outcome.how == "result"
        found.slowest = max(found.slowest, outcome.seconds)
        found.seconds += outcome.seconds
        if outcome.failed and len(found.failures) < MOST_FAILURES:
            found.failures.append({
                **label, "how": outcome.how, "where": outcome.where, "said": outcome.said,
                **({} if outcome.how in {"hang", "large", "slow"} else {"case": _shown(case)}),
            })  # fmt: skip

    every()


def _shown(case: Any) -> str:
    text = repr(case)
    return text if len(text) <= 400 else f"{text[:250]} … {text[-150:]}"
