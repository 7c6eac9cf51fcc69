"""Tests that need more than a comparison of two cells, by the names that claims.toml uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import numpy as np

from _claims._cells import grid
from _claims._rules import (
    FEWEST,
    Finding,
    chosen,
    compare,
    decide,
    parts,
    picks,
    samples,
    spread_of,
    too_few,
    words,
)
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from _claims._evidence import Evidence
    from _claims._read import ClaimTest
    from _claims._rules import Outcome, Sample

    Array = npt.NDArray[np.float64]

RISES: Final = 0.95
TINY: Final = 1e-6
HIGHEST: Final = 100.0  # a ratio to next to nothing says no more than this


@attrs.frozen
class Need:
    """A cell that must be run.

    Attributes:
        cell: Its name.
        measures: That it is run for.
        kinds: Of edit.
        scenes: ``main``, ``more`` or ``few``.
    """

    cell: str
    measures: tuple[str, ...]
    kinds: tuple[str, ...]
    scenes: str


@attrs.frozen
class Function:
    """A test: what it needs, and what it finds."""

    needs: Callable[[ClaimTest], list[Need]]
    judge: Callable[[Evidence, ClaimTest], Finding]


def needs(test: ClaimTest) -> list[Need]:
    """Return what any test needs."""
    found = []
    if test.where is not None:
        where = test.where
        found.append(Need(where.cell, (where.measure,), test.kinds, test.scenes))
    if test.function:
        return found + _function(test).needs(test)
    named = parts(test.measure, test.kinds)
    return found + [Need(it, named, test.kinds, test.scenes) for it in (*test.cell, *test.other)]


def _of_cells(test: ClaimTest) -> list[Need]:
    named = test.measures or parts(test.measure, test.kinds)
    cells = [test.base, *test.cells] if test.base else test.cells
    return [Need(it, named, test.kinds, test.scenes) for it in cells]


# ------------------------------------------------------------------------------------------ spread


def _spread(evidence: Evidence, test: ClaimTest) -> Finding:
    """The largest of several falls, or of several measures of one cell, over the smallest."""
    keys = chosen(evidence, test)
    if test.base:
        first = evidence.values(test.base, test.measure, keys)
        rows = [first - evidence.values(cell, test.measure, keys) for cell in test.cells]
    else:
        rows = [evidence.values(test.cells[0], name, keys) for name in test.measures]
    held = np.stack(rows)
    held = held[:, ~np.isnan(held).any(axis=0)]
    count = held.shape[1]
    if count < FEWEST:
        return too_few(test, count)

    def ratio(means: Array) -> Array:  # [3,M]
        ratios: Array = means.max(axis=0) / np.maximum(means.min(axis=0), TINY)
        return np.minimum(ratios, HIGHEST)

    means = held.mean(axis=1, keepdims=True)
    low, high = spread_of(ratio(held[:, picks(count)].mean(axis=-1)))
    outcome: Outcome = "yes" if high < test.most else "no" if low > test.most else "unclear"
    note = "first, middle, last: " + ", ".join(f"{it:.3f}" for it in means[:, 0])
    if means.min() <= 0:
        note += "; one of them is not above 0, so there is no largest over smallest"
    value = float(ratio(means)[0])
    return Finding(test.say, value, low, high, count, outcome, f"below {test.most:g}", note)


# ------------------------------------------------------------------------------------- undominated


def _undominated(evidence: Evidence, test: ClaimTest) -> Finding:
    """How many cells are above the base in both measures, each with its whole interval."""
    keys = chosen(evidence, test)
    beaten, count = [], 0
    for cell in test.cells:
        above = []
        for name in test.measures:
            rows = evidence.values(cell, name, keys) - evidence.values(test.base, name, keys)
            rows = rows[~np.isnan(rows)]
            count = len(rows)
            if count < FEWEST:
                return too_few(test, count)
            above.append(spread_of(rows[picks(count)].mean(axis=-1))[0] > 0)
        beaten += [cell] if all(above) else []
    found = float(len(beaten))
    return Finding(
        test.say, found, found, found, count, "no" if beaten else "yes", "none", ", ".join(beaten)
    )


# -------------------------------------------------------------------------------------- best_other


def _best_other(evidence: Evidence, test: ClaimTest) -> Finding:
    """The best of several cells less the base, chosen on one half, compared on the other."""
    keys = chosen(evidence, test)
    if len(keys) < 2 * FEWEST:
        return too_few(test, len(keys))
    base, *others = samples(evidence, [[test.base], *[[it] for it in test.cells]], test, keys)
    count = base.rows.shape[1]
    if count < 2 * FEWEST:
        return too_few(test, count)
    halves = [np.arange(start, count, 2) for start in (0, 1)]
    best = [int(np.argmax([it.of(half[None])[0] for it in others])) for half in halves]

    def lead(places: Sequence[npt.NDArray[np.int64]]) -> Array:
        """Each half with what was best on the other one."""
        return np.mean(
            [others[best[1 - side]].of(at) - base.of(at) for side, at in enumerate(places)], axis=0
        )

    value = float(lead([half[None] for half in halves])[0])
    drawn = [half[picks(len(half))] for half in halves]
    low, high = spread_of(lead(drawn))
    names = dict.fromkeys(test.cells[place] for place in best)
    return Finding(
        test.say, value, low, high, count, decide(test.expect, low, high, test.margin),
        words(test), f"best: {' and '.join(names)}",
    )  # fmt: skip


# --------------------------------------------------------------------------------- beside_the_best


def rival(evidence: Evidence, test: ClaimTest) -> str:
    """Return the best of all methods and strengths, by balance on the main scenes."""
    test = attrs.evolve(test, measure="balance")
    keys = evidence.keys(test.kinds, "main")
    names = [it for it in grid() if it not in test.cell]
    found = samples(evidence, [[it] for it in names], test, keys)
    everywhere = np.arange(found[0].rows.shape[1])[None]
    return names[int(np.argmax([it.of(everywhere)[0] for it in found]))]


def _needs_of_best(test: ClaimTest) -> list[Need]:
    named = parts("balance", test.kinds)
    own = Need(test.cell[0], parts(test.measure or "balance", test.kinds), test.kinds, "more")
    return [own, *[Need(it, named, test.kinds, "main") for it in grid()]]


def _beside_the_best(evidence: Evidence, test: ClaimTest) -> Finding:
    """A cell less the best of the main scenes, over the scenes that did not choose it."""
    test = attrs.evolve(test, measure=test.measure or "balance", expect="not-below")
    best = rival(evidence, test)
    found = samples(evidence, [test.cell, [best]], test, evidence.keys(test.kinds, "fresh"))
    count = found[0].rows.shape[1]
    if count < FEWEST:
        return too_few(test, count)
    own, other = (_figures(it, count) for it in found)
    low, high = spread_of(own[1:] - other[1:])
    note = f"the best is `{best}`; {own[0]:.3f} and {other[0]:.3f}"
    return Finding(
        test.say, float(own[0] - other[0]), low, high, count,
        decide(test.expect, low, high, test.margin), words(test), note,
    )  # fmt: skip


def _figures(sample: Sample, count: int) -> Array:
    """The figure over all scenes, and after it those of the resamplings."""
    return np.concatenate([sample.of(np.arange(count)[None]), sample.of(picks(count))])


# -------------------------------------------------------------------------------------------- rank


def curve_cells(method: str, strengths: Sequence[float]) -> list[str]:
    """Return the names of a method's cells; at 0 all methods are one."""
    return [f"{method if strength else 'default'} {strength:g}" for strength in strengths]


def ranks(rows: Array) -> Array:
    """Return Spearman's rank correlation of each column with its places, ``[M]`` of ``[S,M]``.

    Equal values share the mean of their ranks; a column of equal values has 0.
    """
    own = np.arange(len(rows)) - (len(rows) - 1) / 2
    below = (rows[:, None] > rows[None]).sum(axis=1)  # [S,M]
    equal = (rows[:, None] == rows[None]).sum(axis=1)
    ranked = below + (equal - 1) / 2 - (len(rows) - 1) / 2
    scale = np.sqrt((own**2).sum() * (ranked**2).sum(axis=0))
    result: Array = (own[:, None] * ranked).sum(axis=0) / np.maximum(scale, TINY)
    return result


def _needs_of_rank(test: ClaimTest) -> list[Need]:
    named = parts(test.measure, test.kinds)
    cells = curve_cells(test.method, test.strengths)
    return [Need(it, named, test.kinds, test.scenes) for it in cells]


def _rank(evidence: Evidence, test: ClaimTest) -> Finding:
    """Spearman's rank correlation of the mean of a measure with strength."""
    keys = chosen(evidence, test)
    cells = curve_cells(test.method, test.strengths)
    rows = np.stack([evidence.values(cell, test.measure, keys) for cell in cells])  # [S,N]
    rows = rows[:, ~np.isnan(rows).any(axis=0)]
    count = rows.shape[1]
    if count < FEWEST:
        return too_few(test, count)
    means = rows.mean(axis=1)
    low, high = spread_of(ranks(rows[:, picks(count)].mean(axis=-1)))
    value = float(ranks(means[:, None])[0])
    # An interval of so few ranks is wide and skewed: what is asked for is the mean's own rank.
    outcome: Outcome = "yes" if value >= RISES else "no" if high < RISES else "unclear"
    note = " ".join(f"{it:.2f}" for it in means)
    return Finding(test.say, value, low, high, count, outcome, f"at least {RISES:g}", note)


FUNCTIONS: Final = {
    "spread": Function(_of_cells, _spread),
    "undominated": Function(_of_cells, _undominated),
    "best_other": Function(_of_cells, _best_other),
    "beside_the_best": Function(_needs_of_best, _beside_the_best),
    "rank": Function(_needs_of_rank, _rank),
}


def find(evidence: Evidence, test: ClaimTest) -> Finding:
    """Return the finding of any test.

    Raises:
        InputError: What it needs was not run, or its function is not there.
    """
    return (_function(test).judge if test.function else compare)(evidence, test)


def _function(test: ClaimTest) -> Function:
    if test.function not in FUNCTIONS:
        raise InputError(
            f"the test {test.say!r}: there is no function {test.function!r}; there are"
            f" {', '.join(FUNCTIONS)}"
        )
    return FUNCTIONS[test.function]
