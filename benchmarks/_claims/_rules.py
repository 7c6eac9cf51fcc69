"""From values to findings, from findings to verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import attrs
import numpy as np

from refhooks_toy import WHOLE_PICTURE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from _claims._evidence import Evidence
    from _claims._read import Claim, ClaimTest

    Array = npt.NDArray[np.float64]
    Places = npt.NDArray[np.int64]
    Outcome = Literal["yes", "no", "unclear", "too few"]

RESAMPLINGS: Final = 2000
BALANCE: Final = "balance"
FEWEST: Final = 5  # scenes, below which nothing is said

RULE = """\
A finding is a mean over scenes with its 95 % interval, a percentile bootstrap over the scenes
(2,000 resamplings); a comparison is paired: both ways edit the same scenes from the same noise.
It speaks

- against *above*, if its interval ends below the smallest difference that counts (0.05 if none is
named): a gain that is sure to be smaller is none; otherwise for it, if the whole interval is above
0; *below* is the same the other way round;
- for *not below*, if the interval begins above minus that difference; otherwise against it, if the
whole interval is below 0; *not above* is the same the other way round;
- for *the same*, if the interval lies within that difference on both sides, and against it, if it
lies outside;
- for a range, if the interval lies in it, and against it, if it lies outside.

Otherwise it speaks neither for nor against. A claim **holds** if every finding speaks for it,
**does not hold** if none does and one speaks against it, and holds **in part** otherwise: some of
it, or too little to tell. A finding over fewer than 5 scenes counts for nothing. For presets the
first finding decides whether they hold, the second makes it in part.

The *balance* is the harmonic mean of *edit done* and *kept* (each the mean over the scenes, cut
to 0–1), or of *edit done* and *edges* where the whole picture changes; those two are never
averaged.

Where CIEDE2000 and SSIM were taken as well (`python benchmarks/claims.py seen`, for claims that
hold), they stand beside a finding; where nothing stands, they were not. Another measure contradicts
a finding if its interval lies wholly on the wrong side of 0 (for *not below*, *not above* and *the
same*: of what they allow; for a range, outside of it); then the finding speaks neither for nor
against. *Kept* by SSIM is on a scale of its own, so no range is asked of it."""


@attrs.frozen
class Finding:
    """What a test found.

    Attributes:
        say: What was measured.
        value, low, high: With the 95 % interval.
        count: Of scenes.
        outcome: ``yes`` speaks for the claim, ``no`` against it.
        expected: What would speak for it, in words.
        note: What else is to be said.
        seen: The same by other measures, each with its name.
    """

    say: str
    value: float
    low: float
    high: float
    count: int
    outcome: Outcome
    expected: str = ""
    note: str = ""
    seen: tuple[tuple[str, Finding], ...] = ()


@attrs.frozen
class Verdict:
    """A claim with its findings and what follows from them."""

    claim: Claim
    findings: tuple[Finding, ...]

    @property
    def word(self) -> str:
        """``holds``, ``in part``, ``does not hold`` or ``not testable``."""
        outcomes = [it.outcome for it in self.findings if it.outcome != "too few"]
        if not outcomes:
            return "not testable"
        if self.claim.rule == "first" and self.findings[0].outcome == "yes":
            return "holds"
        if self.claim.rule == "all" and set(outcomes) == {"yes"}:
            return "in part" if len(outcomes) < len(self.findings) else "holds"
        return "does not hold" if "yes" not in outcomes and "no" in outcomes else "in part"


def decide(expect: str, low: float, high: float, margin: float) -> Outcome:
    """Return what the interval of a difference says of an expectation, by ``RULE``."""
    if expect in ("below", "not-above"):
        return decide("above" if expect == "below" else "not-below", -high, -low, margin)
    if expect == "above":
        return "no" if high < margin or high <= 0 else "yes" if low > 0 else "unclear"
    if expect == "not-below":
        return "yes" if low > -margin else "no" if high < 0 else "unclear"
    return within(low, high, (-margin, margin))


def within(low: float, high: float, held: tuple[float, float]) -> Outcome:
    """Return whether an interval lies in a range, outside, or on its edge."""
    if held[0] <= low and high <= held[1]:
        return "yes"
    return "no" if high < held[0] or low > held[1] else "unclear"


def words(test: ClaimTest) -> str:
    """Return what would speak for a claim, as the page says it."""
    if test.within:
        return f"within {test.within[0]:g} and {test.within[1]:g}"
    besides = f" (by {test.margin:g})" if test.expect != "above" and test.margin != 0 else ""
    return f"{test.expect.replace('-', ' ')} 0{besides if test.expect != 'below' else ''}"


def picks(count: int) -> Places:
    """Return the scenes of each resampling, ``[RESAMPLINGS,count]``; always the same."""
    return np.random.default_rng(0).integers(0, count, (RESAMPLINGS, count))


@attrs.frozen
class Sample:
    """Values of one way to edit, a row a measure, aligned with those of the others.

    Attributes:
        measure: What is asked for; a ``balance`` is of two measures.
        rows: ``[1 or 2,N]``.
    """

    measure: str
    rows: Array

    def of(self, places: Places) -> Array:
        """Return the figure of each choice of scenes, ``[M]`` of ``[M,N]``."""
        means = self.rows[:, places].mean(axis=-1)  # [1 or 2,M]
        if not is_balance(self.measure):
            return means[0]
        done, kept = np.clip(means, 0, 1)
        balance: Array = 2 * done * kept / np.maximum(done + kept, 1e-9)
        return balance


def is_balance(measure: str) -> bool:
    """Return whether a measure is the balance of two: by RMSE, or by another one."""
    return measure.startswith(BALANCE)


def parts(measure: str, kinds: Sequence[str]) -> tuple[str, ...]:
    """Return the measures that one is made of."""
    if is_balance(measure):
        by = measure.removeprefix(BALANCE)
        return (f"done{by}", "edges" if set(kinds) <= WHOLE_PICTURE else f"kept{by}")
    return tuple(measure.split(" - "))


def samples(
    evidence: Evidence, ways: Sequence[Sequence[str]], test: ClaimTest, keys: Sequence[str]
) -> list[Sample]:
    """Return the values of several ways to edit, over the scenes where all are defined.

    Args:
        evidence: What was measured.
        ways: The cells of each; of several, the mean scene by scene.
        test: For its measure and kinds.
        keys: The scenes.
    """
    names = parts(test.measure, test.kinds) if is_balance(test.measure) else (test.measure,)
    rows = np.stack(
        [
            [
                np.mean([evidence.values(cell, name, keys) for cell in cells], axis=0)
                for name in names
            ]
            for cells in ways
        ]
    )  # [ways,measures,N]
    there = ~np.isnan(rows).any(axis=(0, 1))
    return [Sample(test.measure, row[:, there]) for row in rows]


def chosen(evidence: Evidence, test: ClaimTest) -> list[str]:
    """Return the scenes of a test."""
    keys = evidence.keys(test.kinds, test.scenes)
    where = test.where
    if where is None:
        return keys
    values = evidence.values(where.cell, where.measure, keys)
    if where.lowest is not None:
        limit = np.nanquantile(values, where.lowest)
        return [key for key, value in zip(keys, values, strict=True) if value <= limit]
    return [
        key for key, value in zip(keys, values, strict=True) if where.above < value < where.below
    ]


def too_few(test: ClaimTest, count: int) -> Finding:
    """Return the finding that there were too few scenes."""
    return Finding(test.say, np.nan, np.nan, np.nan, count, "too few", note="too few scenes")


def spread_of(values: Array) -> tuple[float, float]:
    """Return the 95 % interval of resampled figures."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def compare(evidence: Evidence, test: ClaimTest) -> Finding:
    """Return the finding of a test that compares two ways, or one with a range."""
    keys = chosen(evidence, test)
    ways = [test.cell, test.other] if test.other else [test.cell]
    if not keys:
        return too_few(test, 0)
    found = samples(evidence, ways, test, keys)
    count = found[0].rows.shape[1]
    if count < FEWEST:
        return too_few(test, count)

    def figure(places: Places) -> Array:
        first, *others = (it.of(places) for it in found)
        return first - test.times * others[0] if others else first

    value = float(figure(np.arange(count)[None])[0])
    low, high = spread_of(figure(picks(count)))
    held = test.within
    outcome = within(low, high, held) if held else decide(test.expect, low, high, test.margin)
    return Finding(test.say, value, low, high, count, outcome, words(test), _ends(test, found))


def _ends(test: ClaimTest, found: Sequence[Sample]) -> str:
    """The two figures that a difference is of."""
    if not test.other:
        return ""
    one, other = (float(it.of(np.arange(it.rows.shape[1])[None])[0]) for it in found)
    return f"{one:.3f} and {other:.3f}"
