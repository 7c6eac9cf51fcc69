"""A few of the kills, at points that are chosen and not timed, and what would be noticed."""

from __future__ import annotations

import json
import signal

import attrs
import kills
import pytest
from _kill_checks import differing, halves, hidden

import refhooks as rh

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forks beside threads


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, with the tiny model registered for as long as the test."""
    monkeypatch.setitem(rh.load_registry().models, "tiny", None)
    kills.register_tiny()
    return tmp_path


def prepared(folder, name):
    """Return a command with what lies there before and after it."""
    return kills.prepared(folder / "work", folder / "log", [name])[name]


def at(case, name, number, which=0):
    """Return a kill at a point of that name."""
    places = [place for place, point in enumerate(case.points, 1) if point == name]
    return kills.Kill(0, "", places[which], name, number)


def test_a_killed_edit_leaves_the_old_picture_or_the_new_one(folder):
    """In the middle of its file, on both sides of the rename, between steps."""
    case = prepared(folder, "edit")
    points = [
        ("inside .part", signal.SIGKILL),
        ("inside .part", signal.SIGTERM),
        ("before renaming to .png", signal.SIGKILL),
        ("before renaming to .png", signal.SIGINT),
        ("after renaming to .png", signal.SIGTERM),
        ("between steps", signal.SIGINT),
    ]
    for name, number in points:
        kill = at(case, name, number, -1)
        assert kills.killed(kill, case, folder / "work", folder / "log") == [], (name, number)


def test_a_killed_score_goes_on(folder):
    """Half a line of its store is run again, a whole one is not; its lock ends with it."""
    case = prepared(folder, "score")
    points = [
        ("inside .jsonl", signal.SIGKILL),
        ("after fsync", signal.SIGKILL),
        ("before removing .claim", signal.SIGKILL),
        ("inside .jsonl", signal.SIGTERM),
    ]
    for name, number in points:
        kill = at(case, name, number)
        assert kills.killed(kill, case, folder / "work", folder / "log") == [], (name, number)


def test_what_a_kill_spoils_is_named(folder):
    """Old files that differ from those that the case knows, and another status."""
    case = prepared(folder, "edit")
    other = attrs.evolve(case, new={**case.new, "out.png": b"another"})
    kill = at(case, "after renaming to .png", signal.SIGKILL)

    wrong = kills.killed(kill, other, folder / "work", folder / "log")

    assert wrong == [
        "out.png is neither the old nor the new one",
        "out.png differs from a clean run's",
    ]


LINE, NEXT = b'{"batch": "a"}\n', b'{"batch": "b"}\n'


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ({"a.png": b"old"}, []),
        ({"a.png": b"new"}, []),
        ({"a.png": b"ne"}, ["a.png is neither the old nor the new one"]),
        ({}, ["a.png is gone"]),
        ({"a.png": b"old", "b.png": b"ne"}, ["b.png is neither the old nor the new one"]),
        ({"a.png": b"old", ".x.part": b"ne"}, []),
        ({"a.png": b"old", "batches.jsonl": LINE + NEXT[:5]}, []),
        ({"a.png": b"old", "batches.jsonl": NEXT},
         ["batches.jsonl is neither the old nor the new one"]),
        ({"a.png": b"old", "batches.jsonl": LINE + b'{"batch": "c"}\n'},
         ["batches.jsonl is neither the old nor the new one"]),
    ],
)  # fmt: skip
def test_half_a_file_is_noticed(found, wrong):
    """A store may end in half a line, and loses none that was whole."""
    old = {"a.png": b"old", "batches.jsonl": LINE}
    new = {"a.png": b"new", "b.png": b"new", "batches.jsonl": LINE + NEXT}
    here = {"batches.jsonl": LINE, **found} if found else {"batches.jsonl": LINE}

    assert list(halves(here, old, new)) == wrong


def test_lines_of_a_store_have_no_order():
    """Another order of them is no difference; another line is one."""
    assert differing({"batches.jsonl": LINE + NEXT}, {"batches.jsonl": NEXT + LINE}) == []
    assert differing({"batches.jsonl": LINE}, {"batches.jsonl": NEXT + LINE}) == ["batches.jsonl"]
    assert hidden({"a/.b.claim": b"", "a.png": b""}) == ["a/.b.claim"]


def test_a_plan_has_every_kind_of_point_with_every_signal():
    """Before it has one of them twice; the same seed chooses the same."""
    case = kills.Case((), ("between steps", "between steps", "inside .part"), {}, {})

    plan = kills.planned({"edit": case}, 7, 0, 0)

    first = {(kill.name, kill.signal) for kill in plan[:6]}
    assert first == {(name, it) for name in case.points for it in kills.SIGNALS}
    assert plan == kills.planned({"edit": case}, 7, 0, 0)


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    """What is done is not done again; another plan begins anew."""
    case = kills.Case((), ("between steps",), {}, {})
    plan = kills.planned({"edit": case}, 3, 0, 0)
    state, done = tmp_path / "state.jsonl", []

    def killed(kill, *_):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(kill.number)
        return ["bad"] if kill.number == 1 else []

    monkeypatch.setattr(kills, "killed", killed)
    with pytest.raises(KeyboardInterrupt):
        kills.run_plan(plan, {"edit": case}, tmp_path, {"seed": 0}, state)
    monkeypatch.setattr(kills, "killed", lambda kill, *_: done.append(kill.number) or [])

    found = kills.run_plan(plan, {"edit": case}, tmp_path, {"seed": 0}, state)

    assert (done, found) == ([0, 1, 2], {0: [], 1: ["bad"], 2: []})
    kills.run_plan(plan, {"edit": case}, tmp_path, {"seed": 1}, state)
    assert done == [0, 1, 2, 0, 1, 2]


def test_the_last_long_run_was_long():
    """The figures that the page names."""
    last = json.loads((kills.ROOT / "benchmarks" / "results" / "kills.json").read_text("utf-8"))

    assert (last["kills"], last["wrong"]) == (200, 0)
    assert {it["wrong"] == [] for it in last["several processes"].values()} == {True}
