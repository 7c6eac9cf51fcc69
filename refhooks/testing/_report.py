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

    def __str__(self) -> str:
        """One line a subject, then one a result that did not pass."""
        lines = []
        for subject in dict.fromkeys(result.subject for result in self.results):
            outcomes = [result for result in self.results if result.subject == subject]
            lines.append(f"{subject}: {_counts(outcomes)}")
            lines += [_line(result) for result in outcomes if result.outcome != "passed"]
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
