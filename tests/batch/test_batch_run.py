"""A list of jobs in a folder: each made once, gone on with, shared, and its bad jobs told."""

from __future__ import annotations

import json
import os
import shutil
import time

import attrs
import pytest
import tiny
from PIL import Image

import refhooks as rh
from refhooks import batch
from refhooks._base.claims import Claims

STEPS = 2


@pytest.fixture
def folder(tmp_path):
    """Four pictures of two shapes."""
    for number in range(3):
        tiny.picture(number, (32, 24)).save(tmp_path / f"{number}.png")
    tiny.picture(3, (24, 32)).save(tmp_path / "3.png")
    return tmp_path


def job(number, **fields):
    """Return a job as a mapping."""
    return {"id": f"j{number}", "prompt": f"make it {number}", "seed": number, **fields}


@pytest.fixture
def jobs(folder):
    """One job for each of the pictures."""
    return [job(number, image=str(folder / f"{number}.png")) for number in range(4)]


@pytest.fixture
def run(editor, folder):
    """Run jobs into ``out``; returns the summary."""

    def run(jobs, out="out", **options):
        shared = {"steps": STEPS, "cfg": 2.0, **options.pop("shared", {})}
        return batch.run(jobs, out=folder / out, model=editor, shared=shared, **options)

    return run


@pytest.fixture
def edits(monkeypatch):
    """How many jobs each pass held that was run."""
    passes = []
    together = batch._making.edit_together

    def counted(editor, requests, plans):
        passes.append(len(requests))
        return together(editor, requests, plans)

    monkeypatch.setattr(batch._making, "edit_together", counted)
    return passes


def told(folder):
    """Return the rows of ``errors.jsonl``."""
    place = folder / "out" / "errors.jsonl"
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def names(folder):
    """Return what lies in the output folder, hidden files too."""
    return sorted(path.name for path in (folder / "out").iterdir())


def test_every_job_is_made_with_its_recipe(run, folder, jobs, edits):
    """Jobs of one shape in one pass; nothing else lies in the folder."""
    summary = run(jobs)
    assert (summary.jobs, summary.made, summary.there, summary.failed) == (4, 4, 0, {})
    assert edits == [3, 1]
    assert names(folder) == ["j0.png", "j1.png", "j2.png", "j3.png"]
    recipe = rh.load_recipe(folder / "out" / "j2.png")
    assert (recipe.prompt, recipe.seed, recipe.steps, recipe.cfg) == ("make it 2", 2, STEPS, 2.0)
    assert len(recipe.job) == 20
    assert recipe.references[0].picture.name == "2.png"


def test_a_job_is_the_edit_of_its_arguments(run, folder, jobs, editor):
    """To the bit where it runs alone; replayed likewise."""
    run(jobs, most=1)
    single = editor.edit(folder / "1.png", "make it 1", seed=1, steps=STEPS, cfg=2.0)
    with Image.open(folder / "out" / "j1.png") as made:
        assert made.tobytes() == single.image.tobytes()
    again = editor.replay(folder / "out" / "j1.png", references=[folder / "1.png"])
    assert again.image.tobytes() == single.image.tobytes()


def test_what_is_done_is_not_made_again(run, folder, jobs, edits):
    """Nor when a file is moved, or the list is in another order."""
    run(jobs)
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    edits.clear()
    shutil.move(folder / "0.png", folder / "moved.png")
    jobs[0]["image"] = str(folder / "moved.png")
    summary = run(jobs[::-1])
    assert (summary.made, summary.there) == (0, 4)
    assert edits == []
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    assert before == after


CHANGES = {
    "prompt": {"prompt": "another"},
    "seed": {"seed": 9},
    "steps": {"steps": 3},
    "strength": {"strength": 0.5},
    "a reference": {"references": ["3.png"]},
    "a mask": {"edit_mask": "0,0,16,16"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_job_that_changed_is_made_again(run, folder, jobs, change):
    """And no other."""
    run(jobs)
    before = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    fields = dict(CHANGES[change])
    if change == "a reference":
        fields["references"] = [str(folder / "3.png")]
    jobs[1] |= fields
    assert run(jobs).made == 1
    after = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["j1.png"]


def test_another_picture_of_the_same_name_is_another_job(run, folder, jobs):
    """The content counts, and so does that of a mask's file and of a strategy's."""
    mask, strategy = folder / "mask.png", folder / "s.toml"
    first = Image.new("L", (32, 24), 255)
    first.paste(0, (0, 0, 32, 12))
    first.save(mask)
    strategy.write_text('[[stage]]\nmethod = "inject"\nstrength = 0.5\n')
    jobs[1]["edit_mask"], jobs[2]["strategy"] = str(mask), str(strategy)
    run(jobs)
    tiny.picture(9, (32, 24)).save(folder / "0.png")
    assert run(jobs).made == 1
    half = Image.new("L", (32, 24), 255)
    half.paste(0, (0, 0, 16, 24))
    half.save(mask)
    assert run(jobs).made == 1
    strategy.write_text('[[stage]]\nmethod = "inject"\nstrength = 0.6\n')
    assert run(jobs).made == 1
    assert run(jobs).made == 0


def test_another_model_makes_all_again(run, folder, jobs, editor):
    """Another of the same name, of which a single layer was trained further."""
    run(jobs)
    weight = next(editor.pipe.transformer.parameters())
    kept = weight.detach().clone()
    try:
        weight.data += 0.01
        assert run(jobs).made == 4
    finally:
        weight.data.copy_(kept)
    assert run(jobs).made == 4


BROKEN = {
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "zeros at the end": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "a byte of its pixels": lambda data: data[:-30] + bytes([data[-30] ^ 1]) + data[-29:],
    "another picture": lambda _: b"GIF89a",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_output_is_made_again(run, folder, jobs, how):
    """As it was, to the byte, though only it is missing: its pass is computed as it was cut."""
    run(jobs)
    place = folder / "out" / "j1.png"
    whole = place.read_bytes()
    place.write_bytes(BROKEN[how](whole))
    assert run(jobs).made == 1
    assert place.read_bytes() == whole


def test_a_picture_without_its_recipe_is_none_of_the_job(run, folder, jobs):
    """Nobody could tell what it is of."""
    run(jobs)
    rh.strip_recipe(folder / "out" / "j1.png")
    assert run(jobs).made == 1


def bad(folder, jobs):
    """Make four of the jobs bad, each in a way of its own; return their ids."""
    (folder / "garbage.png").write_bytes(b"no picture")
    data = (folder / "1.png").read_bytes()
    (folder / "torn.png").write_bytes(data[: len(data) // 2])
    Image.new("1", (10_000, 8)).save(folder / "long.png")
    first = str(folder / "0.png")
    jobs += [
        job(4, image=str(folder / "none.png")),
        job(5, image=str(folder / "garbage.png")),
        job(6, image=str(folder / "torn.png")),
        job(7, image=str(folder / "long.png")),
        job(8, image=first, references=[str(folder / "none.png")]),
        job(9, image=first, edit_mask=str(folder / "nomask.png")),
        job(10, image=first, prompt="word " * 20_000),
    ]
    return [f"j{number}" for number in range(4, 11)]


def test_bad_jobs_become_rows_and_the_others_go_on(run, folder, jobs, edits):
    """They are not tried again until that is asked for; then those that are good now are made."""
    ids = bad(folder, jobs)
    summary = run(jobs)
    assert (summary.made, sorted(summary.failed)) == (4, sorted(ids))
    rows = told(folder)
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert all(row["message"] and row["job"]["id"] == row["id"] for row in rows)
    assert "there is no picture" in summary.failed["j4"]
    edits.clear()
    again = run(jobs)
    assert (again.made, again.there, again.failed) == (0, 4, summary.failed)
    assert edits == []
    tiny.picture(7, (32, 24)).save(folder / "none.png")
    retried = run(jobs, retry=True)
    assert retried.made == 2
    assert sorted(retried.failed) == sorted(set(ids) - {"j4", "j8"})
    assert sorted(row["id"] for row in told(folder)) == sorted(retried.failed)


def test_a_step_cache_is_that_of_its_jobs(run, folder, jobs, editor):
    """It is on for their passes, in their recipes, and off again afterwards."""
    jobs[3]["cache"] = "taylorseer:interval=2"
    assert run(jobs, shared={"steps": 4}).made == 4
    recipes = [rh.load_recipe(folder / "out" / f"j{number}.png") for number in (0, 3)]
    assert [recipe.cache is None for recipe in recipes] == [True, False]
    assert not editor.pipe.transformer.is_cache_enabled


def test_a_bad_job_that_changed_is_tried_again(run, folder, jobs):
    """Its row was of another job, and goes."""
    bad(folder, jobs)
    run(jobs)
    jobs[4]["image"] = str(folder / "1.png")
    assert run(jobs).made == 1
    assert "j4" not in {row["id"] for row in told(folder)}


def test_nothing_is_left_of_errors_that_are_mended(run, folder, jobs):
    """An empty list of errors is no file."""
    jobs[0]["image"] = str(folder / "none.png")
    run(jobs)
    tiny.picture(7, (32, 24)).save(folder / "none.png")
    run(jobs, retry=True)
    assert "errors.jsonl" not in names(folder)


def test_a_torn_row_says_nothing(run, folder, jobs):
    """Its job is tried again, and the next row begins a line of its own."""
    jobs[0]["image"] = str(folder / "none.png")
    run(jobs)
    place = folder / "out" / "errors.jsonl"
    place.write_bytes(place.read_bytes()[:-20])
    assert list(run(jobs).failed) == ["j0"]
    assert [row["id"] for row in map(json.loads, place.read_text().splitlines()[1:])] == ["j0"]


def test_a_pass_that_fails_is_halved(run, jobs, edits, monkeypatch):
    """As on a full device, down to the jobs that one at a time are too much."""
    together = batch._making.edit_together

    def full(editor, requests, plans):
        if len(requests) > 1 or requests[0].seeds == (1,):
            raise rh.OutOfMemoryError("out of memory")
        return together(editor, requests, plans)

    monkeypatch.setattr(batch._making, "edit_together", full)
    summary = run(jobs)
    assert summary.failed == {"j1": "out of memory"}
    assert summary.made == 3


def test_what_a_plugin_raises_is_a_row(run, jobs, monkeypatch):
    """With the type of what was raised."""
    monkeypatch.setattr(batch._making, "edit_together", lambda *_: 1 / 0)
    assert set(run(jobs).failed.values()) == {"ZeroDivisionError: division by zero"}


def test_an_interrupted_pass_is_no_error_of_its_jobs(run, folder, jobs, monkeypatch):
    """The run ends, and what was made until then is kept."""
    together = batch._making.edit_together
    passes = []

    def interrupted(*given):
        passes.append(1)
        return attrs.evolve(together(*given), interrupted=len(passes) == 2)

    monkeypatch.setattr(batch._making, "edit_together", interrupted)
    with pytest.raises(rh.RefhooksError, match="was interrupted"):
        run(jobs, most=1)
    assert names(folder) == ["j0.png"]


def test_it_ends_where_it_is_asked_to(run, folder, jobs):
    """After the pass in hand; the next run goes on."""
    calls = []
    summary = run(jobs, most=1, progress=calls.append, stop=lambda: len(calls) > 2)
    assert (summary.made, summary.left) == (2, 2)
    assert [(it.done, it.total) for it in calls] == [(0, 4), (1, 4), (2, 4)]
    assert run(jobs, most=1).made == 2


def test_what_another_process_makes_is_waited_for(run, folder, jobs):
    """It is not made here; where the other one leaves, it is."""
    run(jobs, out="other", most=1)
    names_of = []
    claims = Claims(folder / "out")
    (folder / "out").mkdir()
    original = Claims.divide

    def noted(self, names, *rest, **options):
        names_of.extend(names)
        return original(self, names, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Claims, "divide", noted)
        run(jobs, most=1, stop=lambda: True)
    told_of = []

    def other_makes_it(count):
        told_of.append(count)
        shutil.copy(folder / "other" / "j0.png", folder / "out" / "j0.png")

    with claims.claim(names_of[0]) as ours:
        assert ours
        summary = run(jobs, most=1, waits=other_makes_it)
    assert told_of == [1]
    assert (summary.made, summary.left) == (4, 0)
    same = [(folder / it / "j0.png").read_bytes() for it in ("out", "other")]
    assert same[0] == same[1]


def test_leftovers_of_a_killed_process_are_swept(run, folder, jobs):
    """An unfinished file of a process that is gone, and a claim that nobody holds."""
    (folder / "out").mkdir()
    part = folder / "out" / f".{'0' * 8}.part"
    part.write_bytes(b"half")
    old = time.time() - 2 * 24 * 3600
    os.utime(part, (old, old))
    (folder / "out" / f".{'0' * 20}.claim").write_bytes(b"")
    run(jobs[:1])
    assert names(folder) == ["j0.png"]


def test_no_output_takes_the_place_of_a_picture(run, folder, jobs):
    """Nor through a link; nothing is made."""
    jobs[0]["id"] = "0"
    with pytest.raises(rh.InputError, match="is one of the pictures to read"):
        run(jobs, out=".")
    (folder / "link").symlink_to(folder, target_is_directory=True)
    with pytest.raises(rh.InputError, match="is one of the pictures to read"):
        run(jobs, out="link")


def test_a_disk_that_refuses_an_output_ends_the_run(run, folder, jobs, monkeypatch):
    """It is no error of the job, and would be one of every other."""

    def refuse(*_):
        raise rh.InputError("j0.png cannot be written: no space")

    monkeypatch.setattr(batch._outputs, "save_picture", refuse)
    with pytest.raises(rh.InputError, match="no space"):
        run(jobs)
    assert not (folder / "out" / "errors.jsonl").exists()


def test_errors_are_found_before_the_model_is_loaded(folder, jobs):
    """And no folder is left behind."""
    jobs[0]["steps"] = 0

    def load():
        pytest.fail("the model was loaded")

    with pytest.raises(rh.InputError, match="job 1: steps must be"):
        batch.run(jobs, out=folder / "out", model=load)
    assert not (folder / "out").exists()
    jobs[0]["steps"] = 1
    with pytest.raises(rh.InputError, match="model must be an Editor"):
        batch.run(jobs, out=folder / "out", model=lambda: 3)
    assert not (folder / "out").exists()
