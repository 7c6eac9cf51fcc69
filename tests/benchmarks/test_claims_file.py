"""claims.toml: every claim of the guide, and nothing that does not exist."""

from __future__ import annotations

import attrs
import pytest
from _claims._cells import cell, grid
from _claims._functions import FUNCTIONS, needs
from _claims._presets import FOLDER, MEASURED, SOURCE
from _claims._read import ALL, GROUPS, OWN, read_claims
from _claims._run import all_needs
from _claims._shots import NAMES

import refhooks as rh
from refhooks.errors import InputError, UnknownNameError
from refhooks_toy import EDIT_KINDS

IDS = [  # of the guide's table of claims, in its order
    *("M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8"),
    *("S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "P1"),
    *("C1", "C2", "C3", "C4", "C5", "I1", "I2", "I3", "I4", "A1", "A2", "A3", "A4", "A5"),
    *("Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7", "Q8"),
]
BUILT_IN = ("done", "kept", "edges", "copied", "attention")
CLAIMS, ASKED = read_claims()
TESTS = [
    pytest.param(test, id=f"{it.id} {number}")
    for it in CLAIMS for number, test in enumerate(it.tests)
]  # fmt: skip


def test_it_has_every_claim_of_the_guide():
    """In the guide's order, none twice, and each says how it is measured."""
    assert [it.id for it in CLAIMS] == IDS
    assert all(it.how and it.claim and it.section for it in CLAIMS)


@pytest.mark.parametrize("test", TESTS)
def test_a_test_refers_to_what_exists(test):
    """Cells have strategies, measures are measured, kinds are toyland's, functions are there."""
    for need in needs(test):
        if not set(need.kinds) & set(OWN):
            assert cell(need.cell).name == need.cell
            assert set(need.kinds) <= set(EDIT_KINDS)
            assert set(need.measures) <= {*BUILT_IN, *NAMES}
    assert test.function in ("", *FUNCTIONS)


def test_no_two_findings_of_a_claim_read_alike():
    """Else a reader could not tell them apart."""
    for it in CLAIMS:
        said = [test.say for test in it.tests]
        assert len(set(said)) == len(said), it.id


def test_every_preset_that_is_named_can_be_marked():
    """It is there, once, and has the lines that are written to."""
    named = [name for it in CLAIMS for name in it.presets]

    assert len(set(named)) == len(named)
    assert set(named) == {file.stem for file in FOLDER.glob("*.toml") if not is_tuned(file)}
    for name in named:
        text = (FOLDER / f"{name}.toml").read_text()
        assert MEASURED.search(text), name
        assert SOURCE.search(text), name


def is_tuned(file):
    """Presets that a search has found are no rows of the source notes."""
    return 'source = "source notes' not in file.read_text()


def test_a_presets_numbers_are_those_that_are_tested():
    """The first cell of a claim's first finding about it is what the preset does."""
    for it in CLAIMS:
        for name, about in it.presets.items():
            held = rh.preset(name)
            tests = [test for test in it.tests if f"`{about}`" in test.say or not about]
            tested = cell(tests[0].cell[0])
            (stage,) = held.strategy.stages
            assert (tested.method, tested.strength) == (stage.method, stage.strength), it.id
            assert tested.denoise == (held.denoise or 1.0), it.id


def test_monotone_strength_is_asked_as_the_project_asks_it():
    """At least eight strengths from 0 to 1.3, and 4, 8, 28 and 50 steps."""
    assert len(ASKED.strengths) >= 8
    assert (ASKED.strengths[0], ASKED.strengths[-1]) == (0, 1.3)
    assert ASKED.steps == (4, 8, 28, 50)
    assert set(ASKED.methods) == {"default", "cross_attn", "inject", "concat"}


def test_what_is_needed_can_be_run():
    """No cell of a chain or of attention is among it; kinds are the eight."""
    found = all_needs(CLAIMS, ASKED)

    assert {kind for need in found for kind in need.kinds} == set(ALL)
    assert {need.scenes for need in found} == {"main", "more", "few"}
    assert {need.cell for need in found} >= set(grid())


def test_kinds_are_grouped_as_the_measures_need_it():
    """What is kept outside exists for local kinds only."""
    assert set(GROUPS["local"]) | set(GROUPS["whole"]) == set(GROUPS["all"])
    assert not set(GROUPS["local"]) & set(GROUPS["whole"])


BAD = {
    "needs cell": 'say = "x"\ncell = "default 1"',
    "never of both": (
        'say = "x"\ncell = "default 1"\nother = "inject 1"\nmeasure = "balance"\nexpect = "above"'
    ),
    "no kind of edit": (
        'say = "x"\ncell = "default 1"\nmeasure = "done"\nwithin = [0, 1]\nkinds = "hats"'
    ),
    "unexpected keyword": 'say = "x"\ncell = "default 1"\nmeasure = "done"\nwithn = [0, 1]',
    "has no other": (
        'say = "x"\ncell = "default 1"\nother = "inject 1"\nmeasure = "done"\nwithin = [0, 1]'
    ),
}


@pytest.mark.parametrize("said", BAD)
def test_a_test_that_is_none_is_refused_by_name(said, tmp_path):
    """With the id of its claim."""
    file = tmp_path / "claims.toml"
    head = '[[claim]]\nid = "X1"\nsection = "s"\nclaim = "c"\nhow = "h"\n[[claim.test]]\n'
    file.write_text(head + BAD[said])

    with pytest.raises(InputError, match=f"claim X1.*{said}"):
        read_claims(file)


@pytest.mark.parametrize("name", ["defaultt 1", "default", "default one", "default 1 seed"])
def test_a_cell_that_is_none_is_refused(name):
    """With what a name may be."""
    with pytest.raises(UnknownNameError, match="METHOD STRENGTH"):
        cell(name)


def test_a_name_says_all_of_a_cell():
    """Denoise, steps and seed, in this order."""
    made = cell("inject 0.9 denoise 0.4 steps 8 seed 1000")

    assert (made.method, made.strength, made.denoise) == ("inject", 0.9, 0.4)
    assert (made.steps, made.seed) == (8, 1000)
    assert attrs.evolve(made, name="x") != made
