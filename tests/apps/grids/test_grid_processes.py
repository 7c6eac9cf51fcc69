"""``refhooks grid`` in several processes at once: each cell is made by one of them."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

import forked

import refhooks as rh
from refhooks._base import claims

TWO = ["--methods", "default,inject", "--strengths", "0,1"]


def test_several_processes_make_each_cell_once(grid, folder, monkeypatch):
    """And end with the same sheet, that of one alone."""
    grid(*TWO, "--seeds", "0,1", "--cells", "own", output="alone.png")
    original = rh.Editor.edit

    @functools.wraps(original)
    def edit(self, *arguments, **options):
        forked.note("edits", options["seed"])
        return original(self, *arguments, **options)

    monkeypatch.setattr(rh.Editor, "edit", edit)

    def run(number):
        result = grid(*TWO, "--seeds", "0,1", "--cells", "shared", output=f"{number}.png")
        assert result.exit_code == 0, result.output

    assert forked.together(*[lambda it=it: run(it) for it in range(4)]) == [0] * 4

    assert sorted(Path("edits").read_text().split()) == ["0"] * 4 + ["1"] * 4
    assert [len(list(Path(name).iterdir())) for name in ("own", "shared")] == [8, 8]
    sheets = {Path(f"{name}.png").read_bytes() for name in ("alone", 0, 1, 2, 3)}
    assert len(sheets) == 1


def test_the_cell_of_a_killed_process_is_taken_over(grid, edits, monkeypatch):
    """It is waited for while that process lives, which is told."""
    original = rh.Editor.edit
    reader, writer = os.pipe()

    @functools.wraps(original)
    def stuck(self, *arguments, **options):
        os.write(writer, b"x")
        signal.pause()

    def begin():
        monkeypatch.setattr(rh.Editor, "edit", stuck)
        grid(*TWO)

    victim = forked.start(begin)
    os.read(reader, 1)

    def kill(_seconds):
        assert len(edits) == 3
        os.kill(victim, signal.SIGKILL)
        forked.wait(victim)

    monkeypatch.setattr(claims.time, "sleep", kill)
    result = grid(*TWO)

    assert result.exit_code == 0, result.output
    assert result.stderr.count("waiting for the last picture: another process is making it") == 1
    assert len(edits) == len(list(Path("grid.cells").iterdir())) == 4


def test_several_processes_share_the_passes_of_a_batch(grid, monkeypatch):
    """A pass is made by one of them, and its cells are there once."""
    original = rh.Editor.edit

    @functools.wraps(original)
    def edit(self, *arguments, **options):
        forked.note("edits", "-".join(map(str, options["seed"])))
        return original(self, *arguments, **options)

    monkeypatch.setattr(rh.Editor, "edit", edit)

    def run(number):
        result = grid(*TWO, "--seeds", "0,1,2,3", "--batch", 2, "--cells", "shared",
                      output=f"{number}.png")  # fmt: skip
        assert result.exit_code == 0, result.output

    assert forked.together(*[lambda it=it: run(it) for it in range(3)]) == [0] * 3
    assert sorted(Path("edits").read_text().split()) == ["0-1"] * 4 + ["2-3"] * 4
    assert len(list(Path("shared").iterdir())) == 16
    assert len({Path(f"{it}.png").read_bytes() for it in range(3)}) == 1
