"""Six kills over forty edits: each made once, and to the byte as if nothing had happened."""

from __future__ import annotations

import sys

import pytest
from places import BENCHMARKS

import refhooks as rh

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of forks beside threads
]


@pytest.fixture
def kills(monkeypatch):
    """The script, with the tiny model registered for as long as the test."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _batch_kills
    from kills import register_tiny

    monkeypatch.setitem(rh.load_registry().models, "tiny", None)
    register_tiny()
    return _batch_kills


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_killed_batches_make_every_job_once(kills, tmp_path):
    """By one of two processes that share the list, whoever of them is killed, and both."""
    result = kills.share_batch(tmp_path, kills=6, edits=40, seed=1)
    assert result["wrong"] == []
    assert result["made_twice"] == []
    assert result["ids"] == 40
    assert sum(result["killed"].values()) == 6


def test_what_is_spoiled_is_noticed(kills, tmp_path):
    """Half a picture, and another one."""
    right = {"a.png": b"whole", "b.png": b"other"}
    found = {"a.png": b"wh", "b.png": b"other", ".c.part": b"x", "d.png": b"new"}
    assert list(kills.spoiled(found, right)) == [
        "a.png is not that of an undisturbed run",
        "d.png is not that of an undisturbed run",
    ]
