"""The presets that ship: published advice by name, and what was tuned."""

from __future__ import annotations

import json
import re
import runpy

import pytest
import tiny
from places import DOCS, ROOT

import refhooks as rh

CONFIRMED = json.loads((ROOT / "benchmarks" / "results" / "confirm.json").read_text())

# Two tables of the source notes: method, strength, denoise; the quick reference, then the best
# combinations.
ROWS = {
    "color-change": ("inject", (0.8, 1.0), (0.3, 0.5)),
    "style-transfer": ("concat", (0.5, 0.7), (0.6, 0.8)),
    "object-swap": ("cross_attn", (0.6, 0.8), (0.5, 0.7)),
    "add-elements": ("default", (0.7, 0.9), (0.4, 0.6)),
    "remove-elements": ("inject", (1.0, 1.2), (0.3, 0.5)),
    "lighting-change": ("concat", (0.6, 0.8), (0.4, 0.6)),
    "expression-change": ("cross_attn", (0.9, 1.1), (0.3, 0.4)),
    "background-swap": ("default", (0.4, 0.6), (0.6, 0.8)),
    "subtle-edits": ("inject", (0.8, 1.2), None),
    "object-replacement": ("cross_attn", (0.6, 0.8), None),
    "major-scene-changes": ("default", (0.3, 0.5), None),
    "preserving-identity-inject": ("inject", (1.0, 1.3), None),
    "preserving-identity-cross-attn": ("cross_attn", (1.0, 1.3), None),
}


@pytest.fixture(autouse=True)
def no_config(tmp_path, monkeypatch):
    """Presets of whoever runs the tests are not looked at."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def middle(held):
    """The middle of a range."""
    return None if held is None else round(sum(held) / 2, 3)


def test_the_rows_of_both_tables_are_there():
    """No others ship but what was tuned, which says by what and how much it is better."""
    tuned = {name for name in rh.load_registry().presets if name.endswith("-tuned")}

    assert sorted(ROWS) == sorted(set(rh.load_registry().presets) - tuned)
    assert {name for name, it in CONFIRMED["presets"].items() if it["confirmed"]} >= tuned
    for name in tuned:
        assert rh.preset(name).measured
        assert re.search(r"edit done \+\d\.\d+ \[\+", rh.preset(name).source)


@pytest.mark.parametrize("name", ROWS)
def test_a_preset_is_its_row(name):
    """Middles of its ranges, the ranges beside them, where they are from and what was measured."""
    method, strength, denoise = ROWS[name]

    held = rh.preset(name)

    assert held.name == name
    assert held.strategy == rh.Strategy(rh.Stage(method, middle(strength)))
    assert (held.strength_range, held.denoise_range) == (strength, denoise)
    assert held.denoise == middle(denoise)
    assert held.source.startswith("source notes, ")
    assert held.measured == ("; measured on toy: " in held.source)
    assert held.origin == "plugin presets"
    assert bool(held.needs) == (method == "concat")


def test_arguments_are_those_of_an_edit(editor):
    """Of a chain's edit as well; denoise is left out where the preset has none."""
    held = rh.preset("color-change")
    arguments = held.arguments()

    result = editor.edit(tiny.picture(), "make it blue", **arguments, steps=2, seed=0)

    assert arguments == {"strategy": held.strategy, "denoise": 0.4}
    assert result.timetable.steps[0].rows[0].method == "inject"
    assert result.timetable.strengths(0) == (0.9, 0.9)
    assert result.timetable.sigmas[0] < 0.9  # a run from noise begins at 1
    assert list(rh.preset("subtle-edits").arguments()) == ["strategy"]
    assert rh.Edit("make it blue", **arguments).denoise == 0.4


def test_concat_is_refused_where_no_projection_is(editor):
    """Before anything is encoded, with the command that makes one."""
    arguments = rh.preset("style-transfer").arguments()

    with pytest.raises(rh.InputError, match=r"needs a projection.*refhooks train-concat"):
        editor.edit(tiny.picture(), "as a sketch", **arguments, steps=2, seed=0)


def test_the_page_of_presets_is_generated():
    """Run docs/write_presets_table.py after changing one."""
    made = runpy.run_path(str(DOCS / "write_presets_table.py"))
    text = (DOCS / "presets.md").read_text()

    assert made["with_table"](text) == text
