"""The page of the claims: what it says follows from figures, and so do the presets."""

from __future__ import annotations

import json
import re

import attrs
import claims as script
import pytest
from _claims._evidence import Evidence
from _claims._page import CURVES, HOME, Material, pages
from _claims._presets import FOLDER, mark_presets, marked
from _claims._read import Claim, ClaimTest, read_claims
from _claims._rules import Finding, Verdict
from _claims._seen import judge
from click.testing import CliRunner
from made_up import SIZES, everything

from refhooks.score import Scorecard

FIGURES = {
    "format": "refhooks-claims",
    "version": 1,
    "settings": {"steps": 16, "cfg": 2.0, "seed": 0, "batch": 25},
    "scenes": {**SIZES, "steps": 16, "chains": 8},
}
CLAIM = Claim(
    "X1", "section", "a claim", "How.",
    (ClaimTest("x", cell="inject 1", measure="done", within=(0, 1)),),
)  # fmt: skip
ROW = """\
description = "Words."
source = "somebody's table"
denoise = 0.4
measured = false

[[stage]]
method = "inject"
"""


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """The made-up figures in a file."""
    file = tmp_path_factory.mktemp("figures") / "claims.json"
    file.write_text(json.dumps({**FIGURES, "cards": everything()}))
    return file


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No other figures beside those that a test gives."""
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    monkeypatch.setattr(script, "IMAGES", tmp_path)
    return ["--score", str(tmp_path / "score.json"), "--page", str(tmp_path / "evidence.md")]


def verdict(*outcomes, rule="all"):
    """A verdict on findings with these outcomes."""
    findings = [
        Finding(f"finding {number} of `inject`", 0.1, 0.05, 0.15, 60, outcome, "above 0")
        for number, outcome in enumerate(outcomes)
    ]
    return Verdict(attrs.evolve(CLAIM, rule=rule), tuple(findings))


def test_the_page_is_written_from_figures_alone(figures, alone, tmp_path):
    """Every claim with its verdict, in one command, without a model."""
    result = CliRunner().invoke(script.main, ["page", "--json", str(figures), *alone])
    home = (tmp_path / HOME).read_text()
    text = "".join(place.read_text() for place in tmp_path.glob("evidence*.md"))

    assert result.exit_code == 0, result.output
    for claim in read_claims()[0]:
        assert text.count(f"### {claim.id}\n\nThe statement: {claim.claim}.") == 1
        assert re.search(
            rf"\[{claim.id}\]\(#{claim.id.lower()}\) \| .*\*\*(holds|in part|does not|not)", text
        )
        (linked,) = set(re.findall(rf"\[{claim.id}\]\(([\w.-]+)#{claim.id.lower()}\)", home))
        assert f"### {claim.id}\n" in (tmp_path / linked).read_text()
    assert home.index("What it does not prove") < home.index("## Summary")
    assert len(home.split()) < 1200
    assert "nan" not in text
    assert "images/" not in text


def test_the_counts_of_the_summary_are_those_of_the_verdicts(figures, alone, tmp_path):
    """And add up to all claims."""
    CliRunner().invoke(script.main, ["page", "--json", str(figures), *alone])
    text = (tmp_path / "evidence.md").read_text()
    rows = re.findall(
        r"^\| (holds|in part|does not hold|not testable) \| (\d+) \| (.*) \|$", text, re.MULTILINE
    )
    evidence = Evidence.of(everything())
    verdicts = [judge(evidence, claim) for claim in read_claims()[0]]

    assert len(rows) == 4
    for word, count, ids in rows:
        named = [it.claim.id for it in verdicts if it.word == word]
        assert (int(count), re.findall(r"\[(\w+)\]", ids)) == (len(named), named)


def test_the_page_and_the_presets_say_what_the_figures_say():
    """Run benchmarks/claims.py; with ``page`` and ``presets`` if only words have changed."""
    assert script.PAGE.is_file() == script.FIGURES.is_file()
    if not script.PAGE.is_file():
        return  # nothing was measured yet, and nothing is said
    score = Scorecard.read_json(script.SCORE) if script.SCORE.is_file() else None
    made = script.material(json.loads(script.FIGURES.read_text()), score)

    texts = pages(made)
    assert texts == {name: script.PAGE.with_name(name).read_text() for name in texts}
    assert set(texts) == {place.name for place in script.PAGE.parent.glob("evidence*.md")}
    for it in made.verdicts:
        for name, about in it.claim.presets.items():
            text = (FOLDER / f"{name}.toml").read_text()
            assert marked(text, it, about) == text, name


def page(made):
    """All pages, one after the other."""
    return "\n".join(pages(made).values())


def material(*verdicts, **more):
    """What a page of a few verdicts is made of."""
    return Material(FIGURES, verdicts, (), read_claims()[1], **more)


def test_what_is_false_is_said_with_its_number():
    """Whole claims first, then what fails of those that hold in part."""
    text = page(material(verdict("no"), verdict("yes", "no"), verdict("yes")))
    _, false = text.split("## What was found false")
    false, _ = false.split("## Each statement")

    assert false.count("finding 0 of `inject`: +0.100 [+0.050, +0.150]") == 1
    assert false.count("finding 1 of `inject`: +0.100 [+0.050, +0.150]") == 1
    assert "No claim fails" in page(material(verdict("yes")))


def test_what_cannot_be_tested_says_why():
    """With the number of scenes."""
    text = page(material(verdict("too few")))

    assert "not testable on toy**, because at most 60 scenes" in text


def test_parts_that_others_measure_are_taken_in_where_they_are():
    """Curves, peers and the search for what beats the plain model."""
    bare = page(material(verdict("yes")))
    full = page(material(verdict("yes"), curves=True, peers="| peers |", search="| search |"))

    assert "## Peers" not in bare
    assert "## What beats" not in bare
    assert f"images/{CURVES[0]}" in full
    assert full.index("## What was found") < full.index("| search |") < full.index("| peers |")


def test_another_benchmarks_table_is_read_from_its_figures(monkeypatch, tmp_path):
    """Its own function makes it."""
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "another.py").write_text("def table(figures): return f'| {figures[\"x\"]} |'\n")
    assert script._table_of("another") == ""

    (tmp_path / "another.json").write_text('{"x": 3}')
    assert script._table_of("another") == "| 3 |"


@pytest.mark.parametrize("text", ["", "{}", '{"format": "refhooks-score", "version": 1}'])
def test_figures_that_are_none_are_refused(text, alone, tmp_path):
    """In one line that says what to run."""
    file = tmp_path / "claims.json"
    file.write_text(text)
    result = CliRunner().invoke(script.main, ["page", "--json", str(file), *alone])

    assert result.exit_code == 1
    assert "claims.json" in result.output
    assert "Traceback" not in result.output


def test_figures_that_lack_a_cell_name_it(alone, tmp_path):
    """Never a page with holes."""
    cards = everything()
    for card in cards:
        card["cells"] = [it for it in card["cells"] if it["name"] != "three stages"]
    file = tmp_path / "claims.json"
    file.write_text(json.dumps({**FIGURES, "cards": cards}))
    result = CliRunner().invoke(script.main, ["page", "--json", str(file), *alone])

    assert result.exit_code == 1
    assert "'three stages'" in result.output
    assert "claim A1" in result.output
    assert not (tmp_path / "evidence.md").exists()


def test_a_preset_whose_claim_holds_is_measured():
    """With the number; and is not any more, if the claim does not hold any more."""
    once = marked(ROW, verdict("yes"), "")

    assert "\nmeasured = true\n" in once
    assert 'measured on toy: X1, finding 0 of inject: +0.100 [+0.050, +0.150], 60 scenes"' in once
    assert marked(once, verdict("yes"), "") == once

    against = marked(once, verdict("no"), "")
    assert "\nmeasured = false\n" in against
    assert "does not hold on toy: X1, finding 0 of inject: +0.100 [+0.050, +0.150]" in against
    assert "measured on toy" not in against
    assert marked(against, verdict("yes"), "") == once
    assert marked(against, verdict("yes"), "concat") == ROW


def test_only_what_is_about_a_preset_counts_for_it():
    """Its method's findings; of a row of the quick reference, the first."""
    other = verdict("yes", "no", rule="first")

    assert "measured = true" in marked(ROW, other, "")
    assert "measured = false" in marked(ROW, verdict("yes", "no"), "")
    assert "measured = false" in marked(ROW, verdict("yes"), "concat")


def test_every_shipped_preset_can_be_read_after_it_was_marked(tmp_path):
    """With its numbers where `refhooks presets` shows them."""
    import refhooks as rh

    names = []
    for file in FOLDER.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text())
    claims, _ = read_claims()
    verdicts = [
        Verdict(it, tuple(attrs.evolve(verdict("yes").findings[0], say=t.say) for t in it.tests))
        for it in claims
    ]
    for name, holds in mark_presets(verdicts, tmp_path):
        held = rh.preset(tmp_path / f"{name}.toml")
        names.append(name)
        assert holds
        assert held.measured
        assert "measured on toy: " in held.source

    assert len(names) == len(set(names)) == 13


def test_curves_are_drawn_from_the_scorecard(figures, alone, tmp_path, monkeypatch):
    """Beside the page, under the names that it links to."""
    drawn = []
    monkeypatch.setattr(script, "_draw", drawn.append)
    monkeypatch.setattr(script, "as_card", lambda *_: {"group": "score", "kinds": {}, "cells": []})
    monkeypatch.setattr(Scorecard, "read_json", classmethod(lambda _cls, place: place))
    (tmp_path / "score.json").write_text("{}")
    result = CliRunner().invoke(script.main, ["page", "--json", str(figures), *alone])

    assert result.exit_code == 0, result.output
    assert drawn == [tmp_path / "score.json"]
    assert f"(images/{CURVES[1]})" in (tmp_path / "evidence-monotone.md").read_text()
