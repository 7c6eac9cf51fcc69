"""``refhooks methods``, and what `plan` says of a form that was not shown useful."""

from __future__ import annotations

import json
import runpy
from typing import ClassVar

import attrs
import pytest
from click.testing import CliRunner
from places import ROOT

import refhooks as rh
from refhooks._apps.forecast import marks
from refhooks.cli import main

STATUSES = {"baseline", "ahead", "cheaper", "same", "not shown useful", "not measured"}
STRATEGY = '[[stage]]\nmethod = {{ method = "inject", formula = "{}", fit = "{}" }}\n'


@attrs.frozen
class Strange:
    """Somebody else's."""

    name: ClassVar[str] = "strange"

    def bind(self, reference, run):
        raise NotImplementedError


def run(*arguments):
    """Run a command line."""
    return CliRunner().invoke(main, arguments)


def test_every_registered_method_is_listed(monkeypatch):
    """With its forms, figures and cost; a stranger's as measured by nobody."""
    monkeypatch.setitem(rh.load_registry().methods, "strange", Strange)
    table, told = run("methods"), json.loads(run("methods", "--json").stdout)
    line = next(it for it in table.stdout.splitlines() if it.startswith("strange"))

    assert {it["method"] for it in told} == set(rh.load_registry().methods)
    assert {it["status"] for it in told} <= STATUSES
    assert "not measured" in line
    assert line.rstrip().endswith("by nobody")
    [rule] = marks.rules(rh.load_registry())
    assert rule in table.stdout


def test_a_strangers_method_has_no_mark_of_ours(monkeypatch):
    """Though it has the name of one that ships."""
    registry, cls = rh.load_registry(), type(rh.method("concat"))
    assert marks.mark_of(rh.method("inject", fit="stretch"), registry).status == "not measured"
    assert marks.mark_of(rh.method("concat"), registry).status == "cheaper"
    monkeypatch.setitem(registry.methods, "concat", type("Other", (Strange,), {"name": "concat"}))
    assert marks.mark_of(cls(tied=True), registry).status == "not measured"


def test_an_edit_with_a_strategy_file_says_it_too(edit, folder, toy):
    """In one line; the edit is made."""
    (folder / "s.toml").write_text(STRATEGY.format("pull", "cover"))
    done = edit("--strategy", "s.toml", "--steps", 2)

    assert done.exit_code == 0, done.output
    assert done.stderr.count("inject (pull) is marked 'not shown useful'") == 1


@pytest.mark.parametrize(("fit", "said"), [("cover", 1), ("stretch", 0)])
def test_plan_says_what_was_not_shown_useful(tmp_path, fit, said):
    """In one line, of a form that was measured; of another nothing is known."""
    path = tmp_path / "s.toml"
    path.write_text(STRATEGY.format("blend", fit))
    result = run("plan", str(path), "--steps", "2")

    assert result.exit_code == 0
    assert result.stderr.count("inject (blend, input) is marked 'not shown useful'") == said


def test_the_marks_are_those_of_the_figures(tmp_path, monkeypatch):
    """`benchmarks/marks.py` gives the files that ship, as often as it is run."""
    made = runpy.run_path(str(ROOT / "benchmarks" / "marks.py"))
    methods = ("default", "cross_attn", "concat", "guidance", "inject")
    for name in methods:
        (tmp_path / f"refhooks_{name}").mkdir()
    monkeypatch.setitem(made["main"].__globals__, "PLUGINS", tmp_path)
    with pytest.warns(rh.RefhooksWarning, match="concat needs a projection"):
        made["main"]()

    for name in methods:
        written = tmp_path / f"refhooks_{name}" / "marks.json"
        assert written.read_text() == rh.load_registry().methods[name].marks.read_text()


MARK = {
    "method": "strange", "form": "its one form", "options": {}, "status": "ahead",
    "figures": {"done": {"mean": 0.02, "low": 0.01, "high": 0.03, "scenes": 200}}, "cost": 0.5,
    "families": ["flux2"], "steps": 4,
}  # fmt: skip


@pytest.fixture
def strange(monkeypatch, tmp_path):
    """A stranger's method that brings marks: those it is told."""

    def bring(text):
        place = tmp_path / "marks.json"
        place.write_text(text)
        cls = attrs.frozen(type("Strange", (Strange,), {"marks": place}))
        monkeypatch.setitem(rh.load_registry().methods, "strange", cls)
        return cls

    return bring


def test_a_strangers_marks_are_read_like_ours(strange):
    """From the file that its class names, with its own rule."""
    cls = strange(json.dumps({"rule": "Twice as good.", "marks": [MARK]}))
    told = run("methods")

    assert marks.mark_of(cls(), rh.load_registry()).status == "ahead"
    line = next(it for it in told.stdout.splitlines() if it.startswith("strange"))
    assert "+0.02 [+0.01, +0.03]" in line
    assert line.rstrip().endswith("flux2, 4 steps")
    assert "strange: Twice as good." in told.stdout


def test_plan_says_a_strangers_mark_too(strange):
    """As one of ours."""
    cls = strange(json.dumps({"rule": "", "marks": [{**MARK, "status": "not shown useful"}]}))

    [said] = marks.warnings_of([rh.Reference("", rh.Strategy(cls()))], rh.load_registry())
    assert said.startswith("strange (its one form) is marked 'not shown useful': at 1 done +0.02")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must hold"),
        ('{"rule": "", "marks": [], "more": 1}', "more"),
        (json.dumps({"rule": "", "marks": [{**MARK, "status": "best"}]}), "'best'"),
        (json.dumps({"rule": "", "marks": [{**MARK, "cost": "low"}]}), "'low'"),
        (json.dumps({"rule": "", "marks": [{**MARK, "figures": {"done": 1}}]}), "figure 'done'"),
        (json.dumps({"rule": "", "marks": [{**MARK, "figures": {"done": {}}}]}), "figure 'done'"),
    ],
)
def test_a_file_of_marks_that_cannot_be_read_is_told(strange, text, reason):
    """Once; the method counts as not measured, and nothing else is lost."""
    cls = strange(text)
    with pytest.warns(rh.RefhooksWarning, match="'strange': its marks cannot be read") as said:
        everything = marks.all_marks(rh.load_registry())
    told = {it.method: it.status for it in everything}

    assert marks.mark_of(cls(), rh.load_registry()).status == "not measured"
    assert told["strange"] == "not measured"
    assert told["concat"] == "cheaper"
    assert len(said) == 1
    assert reason in str(said[0].message)


@pytest.mark.parametrize(
    ("lows", "cost", "expected"),
    [
        ((0.01, -0.004), 1.0, "ahead"),
        ((0.01, -0.006), 1.0, "not shown useful"),
        ((-0.1, -0.1), 0.5, "cheaper"),
        ((-0.1, -0.1), 1.0, "not shown useful"),
        ((-0.1, -0.2), 0.5, "not shown useful"),
    ],
)
def test_a_mark_follows_the_rule(lows, cost, expected):
    """Ahead in one and no worse in the other; or less work at a small price."""
    made = runpy.run_path(str(ROOT / "benchmarks" / "marks.py"))
    figures = {
        name: {"low": low, "high": low + 0.02}
        for name, low in zip(("done", "kept"), lows, strict=True)
    }

    assert made["status"](figures, cost) == expected
