"""The options of reuse, which steps it stores at, and what a plan says of it."""

from __future__ import annotations

import pytest
import tiny
from click.testing import CliRunner

import refhooks as rh
from refhooks.cli import main


def stage(reuse, strength=1.0, **options):
    """A stage of cross_attn."""
    return rh.Stage(rh.method("cross_attn", reuse=reuse, **options), strength)


def reused(what, steps=8):
    """Steps, from 1, at which the first reference's keys and values are reused."""
    return [step.step.index + 1 for step in rh.plan(what, steps).steps if step.rows[0].reused]


@pytest.mark.parametrize(
    ("reuse", "expected"),
    [
        ("never", []),
        ("once", [2, 3, 4, 5, 6, 7, 8]),
        ("every 1", []),
        ("every 2", [2, 4, 6, 8]),
        ("every 3", [2, 3, 5, 6, 8]),
        ("every 100", [2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_intervals(reuse, expected):
    """Counted in steps of the run."""
    assert reused(stage(reuse)) == expected


def test_steps_without_the_reference():
    """The first step that acts stores; a refresh that is due at strength 0 comes after it."""
    strengths = [0, 0, 1, 1, 0, 0, 0.5, 0.5]

    assert reused(stage("once", strengths)) == [4, 7, 8]
    assert reused(stage("every 3", strengths)) == [4, 8]


def test_each_stage_stores_for_itself():
    """A switch begins anew."""
    first = rh.Stage(rh.method("cross_attn", reuse="once"), until=0.5)

    assert reused(rh.Strategy([first, stage("every 3")])) == [2, 3, 4, 6, 7]


@pytest.mark.parametrize(
    "value", ["always", "every", "every 0", "every -1", "every 2.5", "EVERY 4", "", 4, None, True]
)
def test_intervals_that_make_no_sense(value):
    """The error says what there is."""
    with pytest.raises(rh.InputError, match="reuse must be 'never', 'once' or 'every N'"):
        rh.method("cross_attn", reuse=value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drift_limit": 0.1}, "drift_limit has no effect with reuse='never'"),
        ({"memory_limit": 1}, "memory_limit has no effect with reuse='never'"),
        ({"reuse": "once", "drift_limit": 0.1}, "drift_limit needs reuse='every N'"),
        (
            {"reuse": "every 4", "drift_limit": 0.1, "measure_drift": False},
            "drift_limit needs measure_drift",
        ),
        ({"reuse": "every 4", "drift_limit": 0}, "drift_limit must be a number above 0"),
        ({"reuse": "every 4", "drift_limit": float("nan")}, "drift_limit must be a number above 0"),
        ({"reuse": "once", "memory_limit": True}, "memory_limit must be a number above 0"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options, message):
    """Never silently nothing."""
    with pytest.raises(rh.InputError, match=message):
        rh.method("cross_attn", **options)


def test_a_file_carries_them(tmp_path):
    """Written and read again, the same."""
    strategy = rh.Strategy([stage("every 4", drift_limit=0.2, memory_limit=8)])
    place = tmp_path / "s.toml"
    rh.dump_strategy(strategy, place)

    assert rh.load_strategy(place) == strategy


def test_a_plan_says_it_once(editor):
    """When it stores, how much that takes, and, once for all references, that it is approximate."""
    references = [
        rh.Reference(tiny.picture(number, (32, 32)), stage("every 4")) for number in range(2)
    ]

    remarks = rh.plan(references, 6, editor=editor).remarks

    size = 2 * 2 * 16 * 32 * 4  # keys and values, blocks, tokens, width, bytes of float32
    amount = f"{2 * size / 2**20:.2f} MiB ({size / 2**20:.2f} MiB for each of 2 passes of a step)"
    assert remarks[0] == (
        "reference 1: keys and values are stored at steps 1, 5 and reused at 4 more; they take"
        f" {amount}"
    )
    assert remarks[2].startswith("reference 2: ")
    assert remarks[1].startswith("reuse is approximate: this model's references see the target")
    assert len(remarks) == 3


def test_a_plan_without_a_model_cannot_say_more():
    """Neither sizes nor whether it is exact."""
    remarks = rh.plan(stage("once"), 4).remarks

    assert remarks == (
        "reference 1: keys and values are stored at step 1 and reused at 3 more",
        "reuse is approximate unless the model's references do not see the target",
    )


def test_the_command_shows_it(tmp_path, monkeypatch):
    """Below the table, and in its JSON."""
    monkeypatch.chdir(tmp_path)
    rh.dump_strategy(rh.Strategy([stage("once")]), "s.toml")

    shown = CliRunner().invoke(main, ["plan", "s.toml", "--steps", "4"]).stdout
    held = CliRunner().invoke(main, ["plan", "s.toml", "--steps", "4", "--json"]).stdout

    assert "stored at step 1 and reused at 3 more" in shown
    assert held.count('"reused": true') == 3
