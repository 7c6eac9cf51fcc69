"""A small part of benchmarks/fuzz.py, and that it notices what it looks for."""

from __future__ import annotations

import json
import os
import signal
import threading
import warnings

import fuzz
import pytest
from _fuzz import _blocks, _watch
from _fuzz._odd import bytes_of, changed, damaged
from hypothesis import given, settings
from hypothesis import strategies as st

from refhooks.errors import InputError

CASES = 100


@pytest.mark.parametrize("name", _blocks.KINDS)
def test_malformed_input_is_a_result_or_an_error_of_refhooks(name):
    """Of every kind: half wholly random, half one step from valid; in time, with nothing left.

    What they are one step from is a result.
    """
    with _blocks.workplace() as folder:
        kind = _blocks.KINDS[name](folder)
        watch = _watch.Watch(folder)
        for case in kind.good:
            assert watch.look(kind.run, case).how == "result", case
        found = _blocks.run_block(kind, folder, 0, 27, CASES)

    assert found.failures == []
    assert found.cases == CASES
    assert 0 < found.results < CASES


class Kind:
    """Cases are functions' names."""

    name = "made up"
    random = near = st.integers(0, 10**6)

    def __init__(self, run):
        self.run = run
        self.seen = []


def outcome(tmp_path, run):
    """What the watch says of one case."""
    return _watch.Watch(tmp_path).look(run, 1)


def test_the_watch_tells_an_error_of_refhooks_from_any_other(tmp_path):
    """A bare exception is named, with its message."""

    def refuse(_):
        raise InputError("no")

    def fail(_):
        raise KeyError("x")

    assert outcome(tmp_path, lambda _: 1).how == "result"
    assert outcome(tmp_path, refuse).how == "refused"
    found = outcome(tmp_path, fail)
    assert (found.how, found.failed) == ("KeyError", True)
    assert "x" in found.said


def test_the_watch_sees_what_is_left(tmp_path):
    """A file, a thread, an open file, a filter of warnings; the next case is not blamed for it."""
    done, opened = threading.Event(), []
    ways = {
        "files": lambda _: (tmp_path / "x").touch(),
        "threads": lambda _: threading.Thread(target=done.wait, daemon=True).start(),
        "open files": lambda _: opened.append((tmp_path / "x").open()),
        "filters": lambda _: warnings.simplefilter("ignore", UserWarning),
    }
    before = set(threading.enumerate())
    watch = _watch.Watch(tmp_path)
    try:
        with warnings.catch_warnings():
            for what, way in ways.items():
                found = watch.look(way, 1)
                assert (found.how, found.said.partition(":")[0]) == ("left", what)
                assert watch.look(lambda _: 1, 1).how == "result"
    finally:
        done.set()
        opened[0].close()
        for thread in set(threading.enumerate()) - before:
            thread.join()


def test_the_watch_passes_over_what_ends_meanwhile(tmp_path):
    """A thread or an open file of before is none that a case left."""
    done, ready = threading.Event(), (tmp_path / "x").open("w")
    thread = threading.Thread(target=done.wait)
    thread.start()

    def end(_):
        done.set()
        thread.join()
        ready.close()

    assert outcome(tmp_path, end).how == "result"


@pytest.mark.parametrize(("limit", "how"), [("MAX_SECONDS", "slow"), ("MAX_MIB", "large")])
def test_the_watch_knows_limits(tmp_path, monkeypatch, limit, how):
    """Seconds of the processor, and memory beyond what was held."""
    monkeypatch.setattr(_watch, limit, -1)
    monkeypatch.setattr(_watch, "peak_mib", iter(range(1, 100)).__next__)

    assert outcome(tmp_path, lambda _: 1).how == how


def test_a_case_that_never_ends_is_ended(tmp_path, monkeypatch):
    """Whatever it catches of exceptions."""
    monkeypatch.setattr(_watch, "HANGS", 0.05)

    def wait(_):
        while True:
            try:
                threading.Event().wait(1)
            except Exception:  # noqa: BLE001
                continue

    assert outcome(tmp_path, wait).how == "hang"


def test_a_block_is_the_same_each_time():
    """Its cases follow from the seed, the kind and its number."""

    def cases(number, seed):
        seen = []
        with _blocks.workplace() as folder:
            _blocks.run_block(Kind(seen.append), folder, number, seed, 20)
        return seen

    assert cases(0, 1) == cases(0, 1)
    assert len(cases(0, 1)) == 20
    assert cases(0, 1) != cases(1, 1)
    assert cases(0, 1) != cases(0, 2)


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """Fuzz a kind that notes the blocks that ran; returns how."""
    ran = []

    def block(_kind, _folder, number, _seed, count):
        ran.append(number)
        return _blocks.Found(cases=count, results=1)

    monkeypatch.setattr(fuzz, "KINDS", {"made up": lambda _: Kind(lambda _: 1)})
    monkeypatch.setattr(fuzz, "run_block", lambda *_: None)
    monkeypatch.setattr(fuzz, "_apart", block)
    monkeypatch.setattr(fuzz, "BLOCK", 10)
    place = tmp_path / "fuzz.json"

    def run(count, seed=0):
        ran.clear()
        fuzz.fuzz("made up", count, seed, fuzz._read(place, fuzz._about(seed)), place)
        return list(ran), json.loads(place.read_text())["kinds"]["made up"]

    return run


def test_a_run_that_was_stopped_goes_on(made_up):
    """Blocks that are in the file are not run again, and count."""
    assert made_up(30)[0] == [0, 1, 2]
    ran, held = made_up(50)

    assert ran == [3, 4]
    assert (held["blocks"], held["cases"], held["results"]) == (5, 50, 5)


def test_figures_of_another_seed_are_not_mixed(made_up):
    """Another file is to be named."""
    made_up(10)

    with pytest.raises(Exception, match="of another seed or of other versions"):
        made_up(20, seed=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_that_dies_is_one_failed_block(tmp_path):
    """The run goes on, and no input is kept of it."""

    def die(_):
        os.kill(os.getpid(), signal.SIGKILL)

    found = fuzz._apart(Kind(die), tmp_path, 3, 0, 10)

    assert found.failures == [{"block": 3, "how": "died, exit code -9"}]


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(st.data())
def test_one_step_is_one_step(data):
    """Only a copy of the good one is changed, and every change can be made anywhere."""
    tree = {"stage": [{"method": "inject", "strength": 0.5}], "vision": "auto"}
    before = bytes_of(tree, ".json")

    changed(data.draw, tree)
    assert isinstance(damaged(data.draw, before), bytes)

    assert bytes_of(tree, ".json") == before
