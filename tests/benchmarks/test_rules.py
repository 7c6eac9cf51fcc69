"""From values to verdicts: every outcome can come about."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from _claims._evidence import Evidence
from _claims._read import Claim, ClaimTest, Where
from _claims._rules import Finding, Verdict, decide, within
from _claims._seen import judge
from made_up import card, compared

from refhooks.errors import InputError

SPREAD = np.array([-0.02, -0.01, 0.0, 0.01, 0.02, 0.0, 0.01, -0.01])
KEPT = ClaimTest(
    "more is kept", cell="inject 1", other="default 1", measure="kept", kinds="local",
    expect="above",
)  # fmt: skip
CLAIM = Claim("X1", "section", "inject keeps more", "How.", (KEPT,))


def said(word, *outcomes, rule="all"):
    """The verdict on findings with these outcomes."""
    findings = [Finding("x", 0, 0, 0, 9, outcome) for outcome in outcomes]
    return Verdict(attrs.evolve(CLAIM, rule=rule), tuple(findings)).word == word


@pytest.mark.parametrize(
    ("expect", "low", "high", "outcome"),
    [
        ("above", 0.01, 0.2, "yes"),
        ("above", 0.01, 0.04, "no"),
        ("above", -0.01, 0.2, "unclear"),
        ("above", -0.01, 0.04, "no"),
        ("above", -0.3, -0.1, "no"),
        ("below", -0.2, -0.01, "yes"),
        ("below", -0.04, -0.01, "no"),
        ("below", -0.2, 0.01, "unclear"),
        ("below", -0.04, 0.01, "no"),
        ("below", 0.1, 0.3, "no"),
        ("not-below", -0.04, 0.2, "yes"),
        ("not-below", -0.04, -0.01, "yes"),
        ("not-below", -0.2, 0.2, "unclear"),
        ("not-below", -0.2, -0.01, "no"),
        ("not-above", -0.2, 0.04, "yes"),
        ("not-above", 0.01, 0.2, "no"),
        ("same", -0.04, 0.04, "yes"),
        ("same", -0.04, 0.06, "unclear"),
        ("same", 0.06, 0.2, "no"),
    ],
)
def test_an_interval_speaks_for_or_against_what_is_expected(expect, low, high, outcome):
    """By the rule that the page prints, with 0.05 as the smallest difference that counts."""
    assert decide(expect, low, high, 0.05) == outcome


def test_no_margin_leaves_zero_alone():
    """What is exactly 0 is neither above nor below."""
    assert decide("below", 0.0, 0.0, 0.0) == "no"
    assert decide("above", 0.0, 0.0, 0.0) == "no"


@pytest.mark.parametrize(
    ("low", "high", "outcome"), [(0.1, 0.4, "yes"), (0.4, 0.6, "unclear"), (0.6, 0.7, "no")]
)
def test_an_interval_lies_in_a_range_or_not(low, high, outcome):
    """Or on its edge."""
    assert within(low, high, (0.0, 0.5)) == outcome


def test_findings_make_verdicts():
    """All for it; none for it and one against; anything else; nothing that counts."""
    assert said("holds", "yes", "yes")
    assert said("does not hold", "no", "unclear")
    assert said("in part", "yes", "no")
    assert said("in part", "unclear")
    assert said("in part", "yes", "too few")
    assert said("not testable", "too few")
    assert said("holds", "yes", "no", rule="first")
    assert said("in part", "no", "yes", rule="first")
    assert said("does not hold", "no", "no", rule="first")


@pytest.mark.parametrize(
    ("lead", "word"), [(0.3, "holds"), (-0.3, "does not hold"), (0.0, "does not hold")]
)
def test_a_claim_is_judged_by_a_paired_difference(lead, word):
    """Scene by scene: what scenes have in common cancels out."""
    base = np.linspace(0.2, 0.6, len(SPREAD))
    verdict = judge(compared("kept", base + lead + SPREAD, base), CLAIM)

    assert verdict.word == word
    assert round(verdict.findings[0].value, 5) == lead


def test_a_difference_that_cannot_be_told_is_in_part():
    """Its interval holds 0, and a gain that would count."""
    wide = np.array([-0.5, 0.6, -0.4, 0.5, -0.6, 0.5, -0.3, 0.4])

    assert judge(compared("kept", wide, np.zeros(8)), CLAIM).word == "in part"


def test_a_balance_is_that_of_the_means():
    """Not the mean of each scene's."""
    test = attrs.evolve(KEPT, measure="balance", expect="not-below")
    rows = {"done": 0.4, "kept": 0.8}
    cells = {
        "inject 1": {name: dict.fromkeys(test.kinds, value) for name, value in rows.items()},
        "default 1": {name: dict.fromkeys(test.kinds, 0.5) for name in rows},
    }
    finding = judge(Evidence.of([card(cells)]), attrs.evolve(CLAIM, tests=(test,))).findings[0]

    assert round(finding.value, 4) == round(2 * 0.4 * 0.8 / 1.2 - 0.5, 4)


def test_where_chooses_scenes_by_another_cell():
    """The lowest quarter, or a range."""
    kinds = KEPT.kinds
    first = list(np.linspace(0, 1, 8))
    better = [it + (it < 0.3) for it in first]
    cells = {
        "default 1": {"kept": dict.fromkeys(kinds, first)},
        "inject 1": {"kept": dict.fromkeys(kinds, better)},
    }
    found = Evidence.of([card(cells)])
    lowest = {"cell": "default 1", "measure": "kept", "lowest": 0.25}
    far = {"cell": "default 1", "measure": "kept", "above": 0.5, "below": 2.0}
    none = {"cell": "default 1", "measure": "kept", "above": 5.0}

    def value(where):
        test = attrs.evolve(KEPT, where=Where(**where))
        (finding,) = judge(found, attrs.evolve(CLAIM, tests=(test,))).findings
        return finding

    assert value(lowest).value == 1.0
    assert value(far).value == 0.0
    assert value(none).outcome == "too few"


def test_what_was_not_run_is_an_error_that_names_the_claim():
    """And the cell."""
    found = compared("kept", np.zeros(8), np.zeros(8))
    claim = attrs.evolve(CLAIM, tests=(attrs.evolve(KEPT, cell=("concat 1",)),))

    with pytest.raises(InputError, match="'concat 1'") as caught:
        judge(found, claim)

    assert "claim X1" in caught.value.__notes__[0]


def test_cards_that_contradict_each_other_are_refused():
    """Of other weights, of other scenes, or with one name for two cells."""
    kinds = ("color-change",)
    one = card({"default 1": {"kept": dict.fromkeys(kinds, 0.5)}})
    other = card({"default 1": {"kept": dict.fromkeys(kinds, 0.9)}}, group="more")
    with pytest.raises(InputError, match="different weights"):
        Evidence.of([one, other])

    other = card({"default 1": {"kept": dict.fromkeys(kinds, 0.5)}}, group="more")
    other["kinds"] = {"color-change": [f"another {number}" for number in range(16)]}
    with pytest.raises(InputError, match="different scenes"):
        Evidence.of([one, other])

    other = card({"default 1": {"kept": dict.fromkeys(kinds, 0.5)}}, group="more")
    other["cells"][0]["denoise"] = 0.5
    with pytest.raises(InputError, match="different things"):
        Evidence.of([one, other])


def by_eye(kept, ciede, ssim, test=KEPT):
    """The verdict on the claim, with the differences that each measure finds."""
    rows = {"kept": kept, "kept_ciede2000": ciede, "kept_ssim": ssim}
    cells = {
        name: {
            measure: dict.fromkeys(KEPT.kinds, SPREAD + (mean if name == "inject 1" else 0.0) + 0.5)
            for measure, mean in rows.items()
            if mean is not None
        }
        for name in ("inject 1", "default 1")
    }
    claim = attrs.evolve(CLAIM, tests=(test,))
    return judge(Evidence.of([card(cells, scenes=len(SPREAD))]), claim)


def test_a_claim_holds_only_if_no_other_measure_contradicts_it():
    """A gain that is small by another measure is none the less a gain; a loss is not."""
    assert by_eye(0.2, 0.01, 0.001).word == "holds"
    against = by_eye(0.2, 0.1, -0.001)

    assert against.word == "in part"
    assert against.findings[0].outcome == "unclear"
    assert against.findings[0].note.endswith("contradicted by SSIM")
    assert [name for name, _ in against.findings[0].seen] == ["CIEDE2000", "SSIM"]


def test_other_measures_do_not_save_a_claim():
    """What speaks against it by RMSE stays against it."""
    assert by_eye(-0.2, 0.2, 0.2).word == "does not hold"


def test_what_was_not_taken_contradicts_nothing():
    """The finding then has none beside it."""
    verdict = by_eye(0.2, None, None)

    assert verdict.word == "holds"
    assert verdict.findings[0].seen == ()


@pytest.mark.parametrize(
    ("expect", "by", "holds"),
    [
        ("not-below", -0.04, True),
        ("not-below", -0.2, False),
        ("not-above", 0.2, False),
        ("below", 0.01, False),
        ("same", 0.2, False),
    ],
)
def test_each_expectation_has_its_opposite(expect, by, holds):
    """By CIEDE2000; by RMSE it is met."""
    rmse = {"below": -0.2}.get(expect, 0.0)
    test = attrs.evolve(KEPT, expect=expect)

    assert (by_eye(rmse, by, None, test).word == "holds") is holds


def test_a_range_is_asked_of_shares_only():
    """*Kept* by SSIM has another scale than by RMSE and CIEDE2000."""
    test = attrs.evolve(KEPT, other=(), expect="", within=(0.0, 0.8))
    found = by_eye(0.2, 0.2, 0.49, test)

    assert found.word == "holds"
    assert [name for name, _ in found.findings[0].seen] == ["CIEDE2000"]
    assert by_eye(0.2, 0.9, None, test).word == "in part"
