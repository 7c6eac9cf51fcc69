"""The long run in short: edits of all kinds, half of them failing, and what it would notice."""

from __future__ import annotations

import json

import _soak_edits
import pytest
import soak


def short(**options):
    """Twenty edits on three tiny pipelines."""
    return soak.soak(20, 0, 3, toy=False, every=10, say=lambda _: None, **options)


def grown(result):
    """Return what grew but memory, which so few edits only warm up."""
    return [text for text in result["wrong"] if not text.startswith("memory")]


def test_twenty_edits_leave_nothing_behind():
    """Half of them fail; a plain edit is the same to the bit afterwards."""
    result = short()

    assert grown(result) == []
    assert (result["failed"], sum(result["done"].values())) == (10, 20)
    assert len(result["memory"]) == 2


def test_what_grows_is_named(monkeypatch):
    """A hook that every edit leaves on a model."""
    run = _soak_edits.Soak.edit

    def leaving(self, number):
        self.places[0].editor.pipe.vae.register_forward_hook(lambda *_: None)
        return run(self, number)

    monkeypatch.setattr(_soak_edits.Soak, "edit", leaving)

    [told] = grown(short())

    assert told.startswith("hooks grew from")


def test_an_edit_that_does_not_fail_is_noticed(monkeypatch):
    """Else half of the run would be no test."""
    monkeypatch.setattr(_soak_edits, "FAULTS", {"none": lambda *_: None})

    with pytest.raises(AssertionError, match="none: no error"):
        short()


def test_an_error_of_no_fault_is_noticed(monkeypatch):
    """Such as one of refhooks itself."""

    def broken(*_):
        raise KeyError("inside")

    monkeypatch.setattr(_soak_edits, "FAULTS", {"broken": broken})

    with pytest.raises(AssertionError, match="broken"):
        short()


@pytest.mark.parametrize(
    ("memory", "warm", "expected"),
    [([0, 9, 9, 9], 1, 0.0), ([0, 9, 19, 29], 1, 10.0), ([5], 0, 0.0), ([0, 4, 8], 0, 4.0)],
)
def test_growth_is_that_after_the_warm_up(memory, warm, expected):
    """MiB from look to look."""
    assert soak.growth(memory, warm) == pytest.approx(expected, abs=1e-9)


def test_the_last_long_run_was_long():
    """The figures that the page names."""
    last = json.loads((soak.ROOT / "benchmarks" / "results" / "soak.json").read_text("utf-8"))

    assert (last["edits"], last["failed"], last["wrong"]) == (1000, 500, [])
    assert last["MiB per 100"] < soak.MOST
