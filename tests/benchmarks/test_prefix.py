"""The benchmark of kept prefixes runs, and compares the same work."""

from __future__ import annotations

import json

import prefix
import pytest

SIZE = ["--blocks", "1", "--side", "4", "--heads", "2", "--head", "32", "--text", "60"]


def test_a_small_run(tmp_path, capsys):
    """Every case is timed, in every round; the limit is that of the operations."""
    short = ["--steps", "3", "--repeats", "2", "--json", str(tmp_path / "a.json")]

    result = prefix.main([*SIZE, *short])

    assert {name: len(times) for name, times in result["seconds"].items()} == {
        "stock": 2, "stock, cache off": 2, "strength": 2,
    }  # fmt: skip
    assert all(time > 0.0 for times in result["seconds"].values() for time in times)
    assert 1.0 < result["predicted, cache off"] < 3.0
    assert result["predicted, over stock"] == 1.0
    assert "limit by operations" in capsys.readouterr().out
    assert (tmp_path / "a.json").exists()


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    """With the rounds that it has written; not on those of other options."""
    place = tmp_path / "a.json"
    short = [*SIZE, "--steps", "2", "--json", str(place)]
    edit = prefix.Bench._edit
    edits = []

    def counted(self):
        edits.append(1)
        if len(edits) == 3:
            raise KeyboardInterrupt
        edit(self)

    monkeypatch.setattr(prefix.Bench, "_edit", counted)
    with pytest.raises(KeyboardInterrupt):
        prefix.main([*short, "--repeats", "3"])
    written = json.loads(place.read_text())["seconds"]
    result = prefix.main([*short, "--repeats", "2"])

    assert {name: len(times) for name, times in written.items()} == {
        "stock": 1, "stock, cache off": 1, "strength": 1,
    }  # fmt: skip
    assert [times[0] for times in result["seconds"].values()] == [
        times[0] for times in written.values()
    ]
    assert [len(times) for times in result["seconds"].values()] == [2, 2, 2]
    with pytest.raises(SystemExit, match="is of a run with other options"):
        prefix.main([*short, "--side", "6"])
