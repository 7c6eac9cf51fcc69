"""Tests that need more than two cells: each can speak for a claim, and against it."""

from __future__ import annotations

import numpy as np
import pytest
from _claims._cells import grid
from _claims._evidence import Evidence
from _claims._functions import ranks
from _claims._read import Claim, ClaimTest
from _claims._seen import judge
from made_up import SIZES, card

from refhooks.errors import InputError

KIND = "color-change"
NOISE = 0.01 * np.sin(np.arange(16))


def found(test, *cards):
    """The finding of a test."""
    claim = Claim("X1", "section", "claim", "How.", (test,))
    (finding,) = judge(Evidence.of(cards), claim).findings
    return finding


def cells(**levels):
    """A card of cells with `kept` and `done` near their levels."""
    return card(
        {
            name.replace("_", " "): {
                measure: {KIND: list(level + NOISE[: SIZES["main"]])}
                for measure, level in zip(("done", "kept"), pair, strict=True)
            }
            for name, pair in levels.items()
        }
    )


@pytest.mark.parametrize(
    ("falls", "outcome"), [((0.2, 0.22, 0.21), "yes"), ((0.6, 0.1, 0.1), "no")]
)
def test_spread_compares_the_largest_fall_with_the_smallest(falls, outcome):
    """Uniform, or not."""
    names = ["default 0.25", "default 0.5", "default 0.75"]
    test = ClaimTest(
        "falls", function="spread", base="default 1", cells=names, measure="kept", kinds=KIND,
        most=2,
    )  # fmt: skip
    levels = {name.replace(" ", "_"): (0.5, 0.8 - fall) for name, fall in zip(names, falls)}  # noqa: B905

    assert found(test, cells(default_1=(0.5, 0.8), **levels)).outcome == outcome


def test_a_fall_that_is_none_is_not_uniform():
    """There is no ratio to a third that does nothing, and the finding says so."""
    names = ["default 0.25", "default 0.5"]
    test = ClaimTest(
        "falls", function="spread", base="default 1", cells=names, measure="kept", kinds=KIND,
        most=2,
    )  # fmt: skip
    made = {"default_1": (0.5, 0.8), "default_0.25": (0.5, 0.9), "default_0.5": (0.5, 0.6)}
    finding = found(test, cells(**made))

    assert finding.outcome == "no"
    assert "not above 0" in finding.note


@pytest.mark.parametrize(
    ("other", "outcome"), [((0.6, 0.9), "no"), ((0.6, 0.7), "yes"), ((0.4, 0.7), "yes")]
)
def test_undominated_needs_both_measures(other, outcome):
    """A cell that is better in one only does not dominate."""
    test = ClaimTest(
        "beaten", function="undominated", base="default 1", cells=["default 2"],
        measures=["done", "kept"], kinds=KIND,
    )  # fmt: skip

    assert found(test, cells(default_1=(0.5, 0.8), default_2=other)).outcome == outcome


@pytest.mark.parametrize(("lead", "outcome"), [(0.3, "yes"), (0.0, "no"), (-0.2, "no")])
def test_best_other_is_compared_where_it_was_not_chosen(lead, outcome):
    """And named."""
    test = ClaimTest(
        "best", function="best_other", base="default 1", cells=["inject 1", "concat 1"],
        measure="done", kinds=KIND, expect="above",
    )  # fmt: skip
    made = cells(default_1=(0.5, 0.5), inject_1=(0.1, 0.5), concat_1=(0.5 + lead, 0.5))
    made["kinds"][KIND] = [f"{KIND} {number}" for number in range(16)]
    for it in made["cells"]:
        it["values"] = {key: {KIND: row[KIND] + row[KIND]} for key, row in it["values"].items()}
    finding = found(test, made)

    assert finding.outcome == outcome
    assert finding.note == "best: concat 1"
    assert round(finding.value, 6) == lead


def test_pure_chance_is_no_lead():
    """The best of many equal cells leads where it was chosen, and not where it is compared."""
    random = np.random.default_rng(1)
    names = [f"inject {strength:g}" for strength in np.arange(0.1, 2.0, 0.1)]
    rows = {name: {"done": {KIND: list(random.normal(0.5, 0.2, 16))}} for name in names}
    base = {"default 1": {"done": {KIND: list(random.normal(0.5, 0.2, 16))}}}
    test = ClaimTest(
        "best", function="best_other", base="default 1", cells=names, measure="done", kinds=KIND,
        expect="above",
    )  # fmt: skip
    finding = found(test, card({**base, **rows}, scenes=16))

    assert finding.outcome == "unclear"
    assert finding.low < 0 < finding.high


@pytest.mark.parametrize(("own", "outcome"), [(0.7, "yes"), (0.3, "no")])
def test_beside_the_best_chooses_on_some_scenes_and_compares_on_others(own, outcome):
    """What was best on the first scenes is compared on those that come after."""
    levels = dict.fromkeys(grid(), 0.5) | {"concat 1": 0.7}
    main = {name: {"done": {KIND: level}, "kept": {KIND: level}} for name, level in levels.items()}
    fresh = {
        "concat 1": {it: {KIND: [0.7] * 8 + [0.6] * 8} for it in ("done", "kept")},
        "inject 0.9": {it: {KIND: own} for it in ("done", "kept")},
    }
    test = ClaimTest("beside", cell="inject 0.9", function="beside_the_best", kinds=KIND)
    finding = found(test, card(main), card(fresh, group="more"))

    assert (finding.outcome, finding.count) == (outcome, 8)
    assert "`concat 1`" in finding.note
    assert round(finding.value, 6) == round(own - 0.6, 6)


@pytest.mark.parametrize(
    ("curve", "outcome"), [((0.0, 0.3, 0.5, 0.7), "yes"), ((0.7, 0.5, 0.3, 0.0), "no")]
)
def test_rank_is_that_of_the_means(curve, outcome):
    """Rising, or not."""
    test = ClaimTest(
        "rises", function="rank", method="inject", strengths=[0, 0.5, 1, 2], measure="kept",
        kinds=KIND,
    )  # fmt: skip
    names = ("default_0", "inject_0.5", "inject_1", "inject_2")
    made = {name: (0.5, level) for name, level in zip(names, curve, strict=True)}

    assert found(test, cells(**made)).outcome == outcome


def test_ranks_are_spearmans():
    """Equal values share a rank; a curve that is flat has none."""
    columns = np.array([[1.0, 4.0, 1.0], [2.0, 3.0, 1.0], [3.0, 2.0, 1.0], [4.0, 1.0, 1.0]])
    tied = np.array([[0.0], [0.0], [1.0], [2.0]])

    assert ranks(columns).tolist() == [1.0, -1.0, 0.0]
    assert round(float(ranks(tied)[0]), 4) == 0.9487


def test_a_function_that_is_not_there_is_refused():
    """With those that are."""
    with pytest.raises(InputError, match="spread"):
        found(ClaimTest("x", function="sprea"), card({}))
