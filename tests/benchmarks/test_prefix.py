"""The benchmark of kept prefixes runs, and compares the same work."""

from __future__ import annotations

import prefix


def test_a_small_run(tmp_path, capsys):
    """Every case is timed, in every round; the limit is that of the operations."""
    size = ["--blocks", "1", "--side", "4", "--heads", "2", "--head", "32", "--text", "20"]
    short = ["--steps", "3", "--repeats", "2", "--json", str(tmp_path / "a.json")]

    result = prefix.main([*size, *short])

    assert {name: len(times) for name, times in result["seconds"].items()} == {
        "stock": 2, "stock, cache off": 2, "strength": 2,
    }  # fmt: skip
    assert all(time > 0.0 for times in result["seconds"].values() for time in times)
    assert 1.0 < result["predicted, cache off"] < 3.0
    assert result["predicted, over stock"] == 1.0
    assert "limit by operations" in capsys.readouterr().out
    assert (tmp_path / "a.json").exists()
