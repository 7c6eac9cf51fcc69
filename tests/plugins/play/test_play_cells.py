"""Stages as cells of a table, there and back."""

from __future__ import annotations

import pytest

import refhooks as rh
from refhooks_play._cells import Cells, inline

STAGES = [
    {"method": "default"},
    {"method": "inject", "strength": 0.6, "until": 0.5},
    {"method": "inject", "strength": "0.4:1.0"},
    {"method": "inject", "strength": [0.5, 1.0, 1.25]},
    {"method": {"method": "inject", "formula": "blend", "where": "latents"}},
    {"method": {"method": "cross_attn", "layers": [0, 1], "softmax": "separate"}},
    {"method": "default", "strength": {"schedule": "linear", "start": 0.4, "end": 1.0}},
    {"method": "default", "until": {"switch": "sigma", "below": 0.3}},
    {"method": {"method": "m", "text": 'a "b" \\ ä \n \x7f', "on": True, "odd key": 1e300}},
    {"method": "default", "strength": {"schedule": "keyframes", "points": [[0, 0.5], [1, 1]]}},
    {"method": "default", "strength": 1 / 3},
]


@pytest.mark.parametrize("stage", STAGES, ids=lambda it: str(it)[:50])
def test_a_stage_comes_back_as_it_was(stage):
    """Whatever TOML can hold."""
    assert Cells.of(stage).table("stage 1") == stage


@pytest.mark.parametrize(
    ("cells", "stage"),
    [
        (Cells("default"), {"method": "default"}),
        (
            Cells(" inject ", "", " 0.5 ", " 0.25 "),
            {"method": "inject", "strength": 0.5, "until": 0.25},
        ),
        (
            Cells("inject", 'formula = "blend", fit = "cover"'),
            {"method": {"method": "inject", "formula": "blend", "fit": "cover"}},
        ),
        (Cells("inject", "", "[0.5, 1]"), {"method": "inject", "strength": [0.5, 1]}),
    ],
)  # fmt: skip
def test_what_is_written_is_read(cells, stage):
    """Spaces around it do not count; an empty cell is the default."""
    assert cells.table("stage 1") == stage


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (Cells("inject", "formula: blend"), "reference 1, stage 2: options cannot be read as TOML"),
        (Cells("inject", "", "[1, 2"), "reference 1, stage 2: strength cannot be read as TOML"),
        (Cells("inject", "", "", "{ switch }"), "reference 1, stage 2: until cannot be read"),
        (Cells("inject", 'a = 1 }\nb = "c"\nd = { e = 1'), "options must be one value"),
        (Cells("inject", "a = " + "[" * 20000), "options cannot be read as TOML"),
    ],
    ids=["colon", "open", "switch", "escaping", "deep"],
)
def test_what_cannot_be_read_is_named(cells, says):
    """With its stage, its cell, and what is expected there."""
    with pytest.raises(rh.StrategyError) as error:
        cells.table("reference 1, stage 2")

    assert says in str(error.value)
    assert "such as" in str(error.value)


def test_what_no_cell_can_hold_is_refused():
    """Rather than written as something else."""
    with pytest.raises(rh.StrategyError, match="cannot be written in a cell"):
        inline(object())
