"""Verdicts: the findings of a claim, and whether other measures contradict what holds by RMSE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from _claims._functions import Need, find, needs, rival
from _claims._rules import Verdict, parts
from _claims._shots import COPIED
from refhooks.errors import InputError
from refhooks.score._perceived import PERCEIVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _claims._evidence import Evidence
    from _claims._read import Claim, ClaimTest
    from _claims._rules import Finding

BY: Final = {"_ciede2000": "CIEDE2000", "_ssim": "SSIM"}
CONTRADICTED: Final = "contradicted by"
SCALE_OF_ITS_OWN: Final = "kept_ssim"


def otherwise(test: ClaimTest, by: str) -> ClaimTest | None:
    """Return a test by another measure, or ``None`` where that says nothing new."""
    measure = test.measure
    if test.function == "beside_the_best":
        measure = measure or "balance"
    named = " - ".join(_named(it, by) for it in measure.split(" - ")) if measure else ""
    several = tuple(_named(it, by) for it in test.measures)
    if (named, several) == (measure, test.measures):
        return None
    if test.within and SCALE_OF_ITS_OWN in parts(named, test.kinds):
        return None
    return attrs.evolve(test, measure=named, measures=several)


def _named(measure: str, by: str) -> str:
    known = (*PERCEIVED, *COPIED)
    return f"{measure}{by}" if measure == "balance" or f"{measure}{by}" in known else measure


def contradicts(test: ClaimTest, found: Finding) -> bool:
    """Return whether what another measure finds is the opposite of what is expected."""
    low, high = found.low, found.high
    if found.outcome == "too few" or (test.function and not test.expect):
        return found.outcome == "no"
    if test.within:
        return high < test.within[0] or low > test.within[1]
    return {
        "above": high <= 0.0,
        "below": low >= 0.0,
        "not-below": high < -test.margin,
        "not-above": low > test.margin,
        "same": low > test.margin or high < -test.margin,
    }[test.expect]


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    """Return the verdict on a claim, with what other measures say where they were taken.

    Raises:
        InputError: What a test needs was not run, or its function is not there.
    """
    findings = []
    for test in claim.tests:
        try:
            findings.append(_found(evidence, test))
        except InputError as error:
            error.add_note(f"raised by claim {claim.id}, {test.say!r}")
            raise
    return Verdict(claim, tuple(findings))


def _found(evidence: Evidence, test: ClaimTest) -> Finding:
    found = find(evidence, test)
    seen, against = [], []
    for by, name in BY.items():
        other = otherwise(test, by)
        if other is None or not _taken(evidence, other):
            continue
        seen.append((name, find(evidence, other)))
        against += [name] if contradicts(other, seen[-1][1]) else []
    if found.outcome == "yes" and against:
        said = f"{CONTRADICTED} {' and '.join(against)}"
        found = attrs.evolve(found, outcome="unclear", note=_joined(found.note, said))
    return attrs.evolve(found, seen=tuple(seen))


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _taken(evidence: Evidence, test: ClaimTest) -> bool:
    """Return whether everything that a test needs was measured."""
    try:
        return all(
            evidence.has(need.cell, name, evidence.keys(need.kinds, need.scenes))
            for need in all_needs_of(evidence, test)
            for name in need.measures
        )
    except InputError:  # there are no such scenes
        return False


def all_needs_of(evidence: Evidence, test: ClaimTest) -> list[Need]:
    """Return what a test by another measure needs, the best rival by RMSE among it."""
    if test.function != "beside_the_best":
        return needs(test)
    named = parts(test.measure, test.kinds)
    pair = (test.cell[0], rival(evidence, test))
    return [Need(it, named, test.kinds, "more") for it in pair]


def needs_of_seen(evidence: Evidence, claims: Sequence[Claim]) -> list[Need]:
    """Return what must be run to see whether another measure contradicts a claim that holds."""
    return [
        need
        for claim in claims
        if judge(evidence, claim).word == "holds"
        for test in claim.tests
        for by in BY
        if (other := otherwise(test, by)) is not None
        for need in all_needs_of(evidence, other)
    ]
