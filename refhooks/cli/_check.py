"""``refhooks check``: whether a plugin keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from refhooks.cli._lists import Entry, print_list
from refhooks.cli._terminal import say, tell, working
from refhooks.testing._kit import CHECKS, run_checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks.testing import Result

FAILED = 1


def run_check(name: str, expected: Sequence[str]) -> int:
    """Print what failed, worst first, then every check of the plugin; return an exit status.

    Raises:
        RefhooksError: No installed plugin has the name, or an expected failure is no check.
    """
    failures = dict(_expected(entry) for entry in expected)
    with working(f"checking {name}"):
        report = run_checks(name, failures)
    for failure in report.failures:
        why = (("of", ", ".join(failure.subjects)), ("why", failure.message))
        print_list((), [Entry((f"failed: {', '.join(failure.checks)}",), why, "bold red")])
    for check in report.stale:
        say("error", f"{check} was expected to fail, and passes: take it out", "red")
    for subject in dict.fromkeys(result.subject for result in report.results):
        _print(subject, [entry for entry in report.results if entry.subject == subject])
    passed = sum(result.outcome == "passed" for result in report.results)
    tell(f"{name}: {passed} of {len(report.results)} checks passed")
    return 0 if report.ok else FAILED


def _expected(entry: str) -> tuple[str, str]:
    check, _, reason = entry.partition("=")
    if not reason:
        raise click.UsageError(f"--expect takes CHECK=REASON, got {entry!r}")
    return check, reason


def _print(subject: str, results: Sequence[Result]) -> None:
    """A line a check: what it promises, or why it was expected to fail."""
    promises = {check.name: check.promise for check in CHECKS}
    width = max(len(result.check) for result in results)
    lines = [
        (
            f"{result.outcome:8}  {result.check.ljust(width)}",
            result.message if result.outcome == "expected" else promises[result.check],
        )
        for result in results
    ]
    print_list((), [Entry((subject,), tuple(lines), "bold")])
