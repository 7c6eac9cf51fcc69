"""``refhooks methods``, and what `plan` says of a form that was not shown useful."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
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
    assert marks.rule() in table.stdout


def test_a_strangers_method_has_no_mark_of_ours(monkeypatch):
    """Though it has the name of one that ships."""
    registry = rh.load_registry()
    assert marks.mark_of(rh.method("inject", fit="stretch"), registry).status == "not measured"
    assert marks.mark_of(rh.method("concat"), registry).status == "cheaper"
    monkeypatch.setattr(type(registry), "owner", lambda *_: None)
    assert marks.mark_of(rh.method("concat"), registry).status == "not measured"


@pytest.mark.parametrize(("fit", "said"), [("cover", 1), ("stretch", 0)])
def test_plan_says_what_was_not_shown_useful(tmp_path, fit, said):
    """In one line, of a form that was measured; of another nothing is known."""
    path = tmp_path / "s.toml"
    path.write_text(STRATEGY.format("blend", fit))
    result = run("plan", str(path), "--steps", "2")

    assert result.exit_code == 0
    assert result.stderr.count("inject (blend, input) is marked 'not shown useful'") == said


def test_the_marks_are_those_of_the_figures(tmp_path, monkeypatch):
    """`benchmarks/marks.py` gives the file that ships, as often as it is run."""
    made = runpy.run_path(str(ROOT / "benchmarks" / "marks.py"))
    monkeypatch.setitem(made["main"].__globals__, "MARKS", tmp_path / "marks.json")
    with pytest.warns(rh.RefhooksWarning, match="concat needs a projection"):
        made["main"]()

    assert json.loads(Path(tmp_path / "marks.json").read_text()) == json.loads(
        marks.FILE.read_text()
    )


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
