"""Running what verdicts need: nothing twice, nothing left out."""

from __future__ import annotations

import json

import attrs
import claims as script
import pytest
from _claims import _functions
from _claims._evidence import Evidence, as_card
from _claims._functions import Need
from _claims._read import Claim, ClaimTest, Monotone
from _claims._run import Runner, Size, edits, grouped
from _claims._seen import judge
from click.testing import CliRunner

from refhooks.score import Scene, Score, Scorecard, Settings

KIND = "color-change"
SIZES = {"main": 2, "more": 4, "few": 1}
NEEDS = [
    Need("default 1", ("done",), (KIND, "object-swap"), "main"),
    Need("default 1", ("done",), (KIND,), "more"),
    Need("inject 1", ("artifacts",), (KIND,), "main"),
]


def scored(*names, count=2):
    """A scorecard of cells that have only what every scorecard has."""
    scenes = [Scene(f"{kind} {place}", kind) for kind in (KIND, "object-swap")
              for place in range(count)]  # fmt: skip
    values = {"done": tuple(0.5 for _ in scenes), "kept": (None,) * len(scenes)}
    cells = [Score(name, "m", 1.0, "constant", 1.0, 16, 2.0, 0, None, values) for name in names]
    return Scorecard("toy", Settings(steps=16, cfg=2.0), tuple(scenes), tuple(cells))


def test_every_cell_runs_on_the_kinds_that_some_test_needs():
    """By group of scenes."""
    found = grouped(NEEDS, Evidence(), SIZES)

    assert found["main"] == {"default 1": (KIND, "object-swap"), "inject 1": (KIND,)}
    assert found["more"] == {"default 1": (KIND,)}
    assert found["few"] == {}


def test_what_a_scorecard_has_is_not_run_again():
    """Unless it has too few scenes, or not the measure."""
    held = Evidence.of([as_card(scored("default 1", "inject 1"), "score")])
    found = grouped(NEEDS, held, SIZES)

    assert found["main"] == {"inject 1": (KIND,)}
    assert found["more"] == {"default 1": (KIND,)}


def test_a_measure_that_was_taken_on_one_kind_is_not_there_on_others():
    """Another card ran the cell there, by other measures; where it is not defined, it was taken."""
    first = as_card(scored("inject 1"), "main")
    second = as_card(scored("inject 1"), "main")
    second["cells"][0]["values"] = {"done_ssim": {KIND: [0.5, None]}}
    held = Evidence.of([first, second])

    assert held.has("inject 1", "done_ssim", held.keys([KIND], "main"))
    assert not held.has("inject 1", "done_ssim", held.keys(["object-swap"], "main"))
    assert held.has("inject 1", "done", held.keys([KIND, "object-swap"], "main"))


def test_a_card_holds_what_the_scorecard_does():
    """To five digits, and nothing that is absent."""
    held = scored("default 1")
    values = {"done": (1 / 3, 0.5, None, 0.25), "kept": (None,) * 4}
    made = as_card(attrs.evolve(held, cells=(attrs.evolve(held.cells[0], values=values),)), "main")

    assert made["cells"][0]["values"] == {
        "done": {KIND: [0.33333, 0.5], "object-swap": [None, 0.25]}
    }
    assert json.loads(json.dumps(made)) == made


def test_steps_of_a_cell_count():
    """Fifty cost more than sixteen."""
    groups = {"few": {"default 1 steps 50": (KIND,), "default 1": (KIND,)}, "main": {}}

    assert edits(groups, Size(few=2)) == {"few": 2 * (50 + 16), "main": 0}


def test_a_small_run_of_the_embedded_model(tmp_path, monkeypatch):
    """What is finished is kept, the best setting is run, and verdicts can be made of it."""
    monkeypatch.setattr(_functions, "grid", lambda: ("default 1", "inject 1", "concat 1"))
    best = ClaimTest("best", function="beside_the_best", cell="inject 1", kinds=KIND)
    lead = ClaimTest(
        "lead", cell="inject 1", other="default 1", measure="artifacts", expect="above", kinds=KIND
    )
    claim = Claim("X1", "section", "claim", "How.", (lead, best))
    asked = Monotone(("inject",), (1,), (1,), (1,))
    runner = Runner(Size(main=1, more=2, few=1, steps=2), tmp_path / "store", None)
    monkeypatch.setattr(runner, "_own", list)  # tests of their own
    first = runner.run([claim], asked)
    lines = (tmp_path / "store" / "batches.jsonl").read_bytes()
    again = runner.run([claim], asked)

    assert again == first
    assert (tmp_path / "store" / "batches.jsonl").read_bytes() == lines
    evidence = Evidence.of(json.loads(json.dumps(first))["cards"])
    assert evidence.counts == {"main": 1, "more": 2, "few": 1}
    assert {"default 1", "concat 1"} & {it["name"] for it in first["cards"][1]["cells"]}
    assert [it.outcome for it in judge(evidence, claim).findings] == ["too few", "too few"]


@pytest.mark.parametrize(
    "given", [["--scenes", "9", "--more", "9"], ["--few", "30"], ["--steps", "2"]]
)
def test_sizes_that_make_no_sense_are_refused(given, tmp_path):
    """Before anything runs."""
    place = ["--json", str(tmp_path / "claims.json"), "--store", str(tmp_path / "store")]
    result = CliRunner().invoke(script.main, ["run", *given, *place])

    assert result.exit_code == 1
    assert "--more must be above" in result.output
    assert not (tmp_path / "store").exists()
