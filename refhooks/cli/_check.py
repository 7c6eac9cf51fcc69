"""``refhooks check``: whether a plugin keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from refhooks.cli._terminal import say, tell, working
from refhooks.errors import printable
from refhooks.testing._kit import CHECKS, run_checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks.testing import Result

STYLES = {"passed": "green", "failed": "bold red", "expected": "yellow"}
FAILED = 1
UNWRAPPED = 4096  # where the output goes to a file or a pipe, a line is a check


def run_check(name: str, expected: Sequence[str]) -> int:
    """Print the result of every check of a plugin, and return an exit status.

    Raises:
        RefhooksError: No installed plugin has the name, or an expected failure is no check.
    """
    failures = dict(_expected(entry) for entry in expected)
    with working(f"checking {name}"):
        report = run_checks(name, failures)
    promises = {check.name: check.promise for check in CHECKS}
    for subject in dict.fromkeys(result.subject for result in report.results):
        _print(subject, [entry for entry in report.results if entry.subject == subject], promises)
    for check in report.stale:
        say("error", f"{check} was expected to fail, and passes: take it out", "red")
    passed = sum(result.outcome == "passed" for result in report.results)
    tell(f"{name}: {passed} of {len(report.results)} checks passed")
    return 0 if report.ok else FAILED


def _expected(entry: str) -> tuple[str, str]:
    check, _, reason = entry.partition("=")
    if not reason:
        raise click.UsageError(f"--expect takes CHECK=REASON, got {entry!r}")
    return check, reason


def _print(subject: str, results: Sequence[Result], promises: dict[str, str]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNWRAPPED)
    console.print(Text(printable(subject), style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for result in results:
        said = result.message or promises[result.check]
        table.add_row(
            Text(f"  {result.outcome}", style=STYLES[result.outcome]),
            Text(printable(result.check)),
            Text(printable(said)),
        )
    console.print(table)
