"""What the kit found out, and how it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CheckFailed", "Report", "Result"]

Outcome = Literal["passed", "failed", "expected"]


class CheckFailed(AssertionError):  # noqa: N818  read by people who know pytest's "failed"
    """A plugin does not keep a promise; the message says which, and where."""


@attrs.frozen
class Result:
    """One check of one thing that a plugin registers.

    Attributes:
        subject: Such as ``method inject``.
        check: Name of the check.
        outcome: ``passed``, ``failed``, or ``expected`` (to fail, and did).
        message: What went wrong, or why that was expected; empty if it passed.
    """

    subject: str
    check: str
    outcome: Outcome
    message: str = ""


@attrs.frozen
class Failure:
    """What several checks may have failed of; of two, the worse one is what more checks fail of.

    Attributes:
        subjects: Such as ``method inject``.
        checks: Their names, in the order in which they ran.
        message: What went wrong.
    """

    subjects: tuple[str, ...]
    checks: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        """Whom it concerns, which checks, and what went wrong."""
        return f"FAILED {', '.join(self.subjects)}: {', '.join(self.checks)}: {self.message}"


@attrs.frozen
class Report:
    """Every result of one plugin.

    Attributes:
        plugin: Its name.
        results: In the order in which they were found.
        stale: Checks that were expected to fail and did not.
    """

    plugin: str
    results: tuple[Result, ...]
    stale: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing failed, but for what was expected to."""
        return not self.stale and all(result.outcome != "failed" for result in self.results)

    @property
    def failed(self) -> tuple[Result, ...]:
        """What failed and was not expected to."""
        return tuple(result for result in self.results if result.outcome == "failed")

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What failed and was not expected to, each once, worst first."""
        found: dict[str, list[Result]] = {}
        for result in self.failed:
            found.setdefault(result.message, []).append(result)
        failures = [
            Failure(
                tuple(dict.fromkeys(result.subject for result in results)),
                tuple(dict.fromkeys(result.check for result in results)),
                message,
            )
            for message, results in found.items()
        ]
        return tuple(sorted(failures, key=lambda failure: -len(failure.checks)))

    def __str__(self) -> str:
        """What failed, worst first; then a line a subject, and what was expected to fail."""
        lines = [str(failure) for failure in self.failures]
        for subject in dict.fromkeys(result.subject for result in self.results):
            outcomes = [result for result in self.results if result.subject == subject]
            lines.append(f"{subject}: {_counts(outcomes)}")
            lines += [_line(result) for result in outcomes if result.outcome == "expected"]
        lines += [
            f"{self.plugin}: {check} was expected to fail, and passes: take it out"
            for check in self.stale
        ]
        return "\n".join(lines) or f"{self.plugin}: registers nothing"


def _counts(results: Sequence[Result]) -> str:
    outcomes = [result.outcome for result in results]
    words = {"passed": "passed", "failed": "FAILED", "expected": "expected to fail"}
    return ", ".join(
        f"{outcomes.count(outcome)} {word}"
        for outcome, word in words.items()
        if outcome in outcomes
    )


def _line(result: Result) -> str:
    return f"  {result.outcome:8} {result.check}: {result.message}"


def judge(plugin: str, results: Sequence[Result], expected: Mapping[str, str]) -> Report:
    """Return the report in which failures that were expected count as such."""
    judged = [
        attrs.evolve(
            result, outcome="expected", message=f"{expected[result.check]} ({result.message})"
        )
        if result.outcome == "failed" and result.check in expected
        else result
        for result in results
    ]
    failing = {result.check for result in judged if result.outcome == "expected"}
    ran = {result.check for result in judged}
    stale = tuple(check for check in expected if check in ran and check not in failing)
    return Report(plugin, tuple(judged), stale)
