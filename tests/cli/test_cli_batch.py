"""``refhooks batch``: a folder or a file of jobs, its status, Ctrl-C, and what it says."""

from __future__ import annotations

import json
import os
import signal

import pytest
import tiny

import refhooks as rh
from refhooks import batch
from refhooks.cli import _batch


@pytest.fixture
def photos(folder):
    """Three pictures of one shape in a folder."""
    (folder / "photos").mkdir()
    for number in range(3):
        tiny.picture(number, (32, 24)).save(folder / "photos" / f"{number}.png")
    return folder / "photos"


@pytest.fixture
def run(cli, toy, photos):
    """Run ``refhooks batch`` on the folder, two steps unless it says so."""

    def run(*arguments, jobs="photos", prompt=("make it blue",)):
        return cli("batch", jobs, *prompt, "-o", "out", "--steps", 2, *arguments)

    return run


def made(folder):
    """Return what lies in the output folder."""
    return sorted(path.name for path in (folder / "out").iterdir())


def test_a_folder_is_edited_and_gone_on_with(run, folder):
    """Status 0; the same command again makes what is missing."""
    first = run()
    assert first.exit_code == 0, first.stderr
    assert first.stdout.startswith("out: made 3 pictures, ")
    assert made(folder) == ["0.png", "1.png", "2.png"]
    (folder / "out" / "1.png").unlink()
    second = run()
    assert second.stdout.startswith("out: made 1 picture, ")
    assert "note: 2 of 3 pictures were done before" in second.stderr


def test_the_status_is_3_where_a_job_failed(run, folder, photos):
    """And it says which, why, where they are told, and how to try again."""
    (photos / "9.png").write_bytes(b"none")
    result = run()
    assert result.exit_code == 3
    assert "failed: 9: photos/9.png is not a PNG, JPEG or WEBP picture" in result.stderr
    assert "what failed stands in out/errors.jsonl; --retry tries it again" in result.stderr
    assert made(folder) == ["0.png", "1.png", "2.png", "errors.jsonl"]
    tiny.picture(9, (32, 24)).save(photos / "9.png")
    assert run().exit_code == 3
    assert run("--retry").exit_code == 0
    assert made(folder) == ["0.png", "1.png", "2.png", "9.png"]


def test_options_hold_for_jobs_that_do_not_say_it(run, folder):
    """Their paths begin here, and those of the jobs at their file."""
    (folder / "s.toml").write_text('[[stage]]\nmethod = "inject"\nstrength = 0.5\n')
    rows = [
        {"id": "a", "image": "0.png", "prompt": "x"},
        {"id": "b", "image": "1.png", "prompt": "x", "method": "cross_attn", "seed": 4},
    ]
    (folder / "photos" / "jobs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ("--strategy", "s.toml", "--ref", "photo.png:cross_attn:0.4", "--seed", 7)
    result = run(*options, jobs="photos/jobs.jsonl", prompt=())
    assert result.exit_code == 0, result.stderr
    a, b = (rh.load_recipe(folder / "out" / f"{name}.png") for name in "ab")
    assert a.references[0].strategy["stage"][0]["method"] == "inject"
    assert b.references[0].strategy["stage"][0]["method"] == "cross_attn"
    assert a.references[1].strategy["stage"][0]["strength"] == 0.4
    assert [a.seed, b.seed, a.steps] == [7, 4, 2]


def test_a_preset_says_its_denoise_unless_the_option_does(run, folder):
    """As in edit."""
    preset = rh.preset("color-change")
    assert preset.denoise not in (None, 1.0)
    for given, expected in (((), preset.denoise), (("--denoise", 0.9), 0.9)):
        result = run("--preset", "color-change", *given)
        assert result.exit_code == 0, result.stderr
        assert rh.load_recipe(folder / "out" / "0.png").denoise == expected


def test_all_errors_of_a_file_are_told_before_the_model_loads(cli, folder, unloadable):
    """Status 2, and no folder is left."""
    rows = [{"id": "a", "image": "photo.png", "prompt": "x", "steps": it} for it in (0, -1)]
    (folder / "jobs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = cli("batch", "jobs.jsonl", "-o", "out")
    assert result.exit_code == 2
    assert "error: jobs.jsonl: 2 errors in its jobs, so none was begun" in result.stderr
    assert "note: jobs.jsonl: line 1: steps must be" in result.stderr
    assert "note: jobs.jsonl: line 2: steps must be" in result.stderr
    assert not (folder / "out").exists()


def test_edit_with_several_pictures_names_this_command(cli, photos):
    """With a folder as well."""
    several = cli("edit", "photos/0.png", "photos/1.png", "x", "-o", "out.png")
    assert several.exit_code == 2
    assert "several pictures are edited by refhooks batch FOLDER PROMPT -o OUT" in several.stderr
    folder = cli("edit", "photos", "x", "-o", "out.png")
    assert folder.exit_code == 2
    assert "all pictures of a folder are edited by refhooks batch" in folder.stderr


def test_ctrl_c_ends_after_the_edit_in_hand(run, folder, monkeypatch):
    """Status 130; it is kept, and the same command goes on."""
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    together = batch._making.edit_together

    def interrupted(*given):
        os.kill(os.getpid(), signal.SIGINT)
        return together(*given)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(batch._making, "edit_together", interrupted)
            result = run("--batch", 1)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert result.exit_code == 130
    assert "ending after the edits in hand; Ctrl-C once more ends at once" in result.stderr
    assert "note: 2 pictures left; the same command goes on from there" in result.stderr
    assert made(folder) == ["0.png"]
    assert run("--batch", 1).stdout.startswith("out: made 2 pictures")


def test_a_log_says_how_far_it_is(run, monkeypatch):
    """Where there is no terminal, now and then a line with time to go."""
    monkeypatch.setattr(_batch, "_EVERY", 0.0)
    result = run("--batch", 1)
    assert "note: 1 of 3 edits, 0 min to go" in result.stderr
    assert "note: 2 of 3 edits, 0 min to go" in result.stderr


def test_hours_are_spoken_of():
    """As hours and minutes."""
    assert _batch._spoken(3 * 3600 + 125) == "3 h 2 min"
