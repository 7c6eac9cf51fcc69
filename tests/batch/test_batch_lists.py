"""Lists of jobs: JSON Lines, CSV, folders and lists; all that is wrong is told at once."""

from __future__ import annotations

import json

import pytest
import tiny

import refhooks as rh
from refhooks.batch._reading import read_jobs


@pytest.fixture
def folder(tmp_path):
    """Two pictures, and one as a mask."""
    for number in (1, 2):
        tiny.picture(number, (32, 24)).save(tmp_path / f"{number}.png")
    tiny.picture(3, (32, 24)).save(tmp_path / "mask.png")
    return tmp_path


@pytest.fixture
def read(folder):
    """Return the jobs of a list; a text is written as a file of that name first."""

    def read(text, name="jobs.jsonl", prompt=None, **shared):
        place = folder / name
        place.write_text(text, encoding="utf-8")
        return read_jobs(place, rh.load_registry(), prompt=prompt, shared=shared)[1]

    return read


def lines(*jobs):
    """Return jobs as JSON Lines, each with what it lacks."""
    rows = [
        {"id": str(number), "image": "1.png", "prompt": "x", **job}
        for number, job in enumerate(jobs)
    ]
    return "\n".join(map(json.dumps, rows)) + "\n"


def told(error):
    """Return the message of an error, and its notes."""
    return [str(error.value), *getattr(error.value, "__notes__", ())]


def test_json_lines(read, folder):
    """Paths begin in the folder of the file; a null and an empty line say nothing."""
    (job,) = read(
        "\n"
        + lines({"references": ["2.png"], "steps": 4, "cfg": None, "edit_mask": "mask.png"})
        + "\n"
    )
    assert job.id == "0"
    assert job.pictures == (folder / "1.png", folder / "2.png")
    assert job.given["steps"] == 4
    assert job.given["seed"] == 0
    assert job.given["edit_mask"].shape.image == str(folder / "mask.png")


def test_csv(read, folder):
    """Numbers are numbers, ';' divides references, an empty cell says nothing."""
    text = (
        "id,image,prompt,references,steps,strength,cfg,seed\n"
        'a,1.png,"x, y",1.png;2.png,4,0.4:1.0,,7\n'
        "b,2.png,z,,,.5,2,\n"
    )
    first, second = read(text, "jobs.csv")
    assert first.given["prompt"] == "x, y"
    assert first.pictures == (folder / "1.png", folder / "1.png", folder / "2.png")
    assert (first.given["steps"], first.given["strength"], first.given["seed"]) == (4, "0.4:1.0", 7)
    assert (second.given["strength"], second.given["cfg"], second.given["seed"]) == (0.5, 2.0, 0)


def test_a_folder(folder):
    """Every picture of it, in the order of their names; what is none is left out."""
    (folder / "notes.txt").write_text("none")
    _, jobs = read_jobs(folder, rh.load_registry(), prompt="x", shared={"steps": 3})
    assert [job.id for job in jobs] == ["1", "2", "mask"]
    assert {job.given["steps"] for job in jobs} == {3}


def test_what_all_jobs_have_is_for_those_that_do_not_say_it(read):
    """Who says a preset says all of the steering, and who says a height all of the size."""
    jobs = read(
        lines({}, {"steps": 2}, {"preset": "style-transfer"}, {"height": 32}),
        steps=9, method="inject", strength=0.5, resolution=1024,
    )  # fmt: skip
    assert [job.given["steps"] for job in jobs] == [9, 2, 9, 9]
    assert [job.given["method"] for job in jobs] == ["inject", "inject", None, "inject"]
    assert [job.given["strength"] for job in jobs] == [0.5, 0.5, None, 0.5]
    assert [job.given["resolution"] for job in jobs] == [1024, 1024, 1024, None]


def test_tables_of_strategy_files_are_values(read, editor):
    """A strategy, a reference with one stage or several, a method with options, a mask."""
    (job,) = read(
        lines(
            {
                "strategy": {"stage": [{"method": "inject", "strength": 0.5, "until": 0.5}]},
                "references": [
                    {"image": "2.png", "method": "cross_attn", "strength": 0.6},
                    {"image": "2.png", "stage": [{"method": "default"}]},
                ],
                "edit_mask": {"box": "0,0,50%,50%", "invert": True},
            }
        )
    )
    assert job.arguments(editor)["strategy"].stages[0].method == "inject"
    first, second = job.given["references"]
    assert first.strategy.stages[0].strength == 0.6
    assert second.strategy.stages[0].method == "default"
    assert job.given["edit_mask"].invert
    (other,) = read(lines({"method": {"method": "inject", "formula": "blend"}}))
    assert other.arguments(editor)["strategy"].method.formula == "blend"


REFUSED = {
    "an unknown key": ({"stepss": 3}, "unknown key 'stepss'. Did you mean 'steps'?"),
    "a folder in the id": ({"id": "a/b"}, "id 'a/b' is no plain file name"),
    "a hidden id": ({"id": ".a"}, "id '.a' is no plain file name"),
    "another folder": ({"id": ".."}, "id '..' is no plain file name"),
    "no text": ({"id": 7}, "id must be a text that names the job's output, got 7"),
    "a long id": ({"id": "ä" * 101}, "is no plain file name"),
    "half a pair": ({"id": "\ud800"}, "is no plain file name"),
    "no picture": ({"image": None}, "image is missing"),
    "no prompt": ({"prompt": " "}, "prompt is empty"),
    "steps": ({"steps": 0}, "steps must be a whole number from 1 to 1000, got 0"),
    "a seed": ({"seed": -1}, "seed must be a whole number"),
    "a method": ({"method": "injct"}, "Did you mean 'inject'?"),
    "a preset": ({"preset": "style-transfr"}, "Did you mean 'style-transfer'?"),
    "a strategy": ({"strategy": "none.toml"}, "there is no file"),
    "both": ({"preset": "style-transfer", "strategy": "inject"}, "leave one out"),
    "a size twice": ({"height": 32, "resolution": 99}, "give either resolution, or height"),
    "references": ({"references": "2.png"}, "references is '2.png'"),
    "a reference": ({"references": [{"image": "2.png", "methd": "x"}]}, "'methd'"),
    "inside": ({"compute": "inside"}, "needs an edit mask"),
    "a cache": ({"cache": "fbcach"}, "fbcach"),
    "a callback": ({"callback": 1}, "unknown key 'callback'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_job_is_refused_by_its_line(read, case):
    """With what was expected and what came."""
    job, words = REFUSED[case]
    with pytest.raises(rh.InputError) as error:
        read(lines({}, {"id": "1", **job}))
    assert "jobs.jsonl: line 2" in str(error.value)
    assert words in str(error.value)


def test_all_errors_are_told_at_once(read):
    """One line each, and the number of all; a line that is no JSON among them."""
    text = lines({"steps": 0}, {"id": "1", "cfg": "x"}, {"id": "a"}, {"id": "A"}) + "{torn\n"
    with pytest.raises(rh.InputError) as error:
        read(text)
    message, *notes = told(error)
    assert message.endswith("jobs.jsonl: 4 errors in its jobs, so none was begun")
    starts = ["line 5 is not valid JSON", "line 1", "line 2"]
    assert [note.split(": ")[1] for note in notes[:3]] == starts
    assert notes[3] == (
        "id 'A', beside 'a', is given twice, for 1.png and 1.png; each output needs a name of its"
        " own"
    )


def test_no_more_than_twenty_are_told_one_by_one(read):
    """The message says that there are more."""
    with pytest.raises(rh.InputError) as error:
        read(lines(*[{"steps": 0}] * 30))
    message, *notes = told(error)
    assert message.endswith(
        "30 errors in its jobs, so none was begun; the first 20 of them are told"
    )
    assert len(notes) == 20


LISTS = {
    "another file": ("jobs.txt", "x", "jobs are a file that ends in .jsonl, .csv"),
    "nothing": ("jobs.jsonl", "\n\n", "holds no job; each has at least id, image and prompt"),
    "a column": ("jobs.csv", "id,image,promt\n", "unknown column 'promt'"),
    "a cell too many": ("jobs.csv", "id,image,prompt\na,1.png,x,y\n", "more cells"),
    "no quote": ("jobs.csv", 'id,image,prompt\na,1.png,"x\n', "cannot be read as CSV"),
    "no number": ("jobs.csv", "id,image,prompt,steps\na,1.png,x,four\n", "got 'four'"),
}


@pytest.mark.parametrize("case", LISTS)
def test_what_is_no_list_is_refused(read, case):
    """By its name."""
    name, text, words = LISTS[case]
    with pytest.raises(rh.InputError) as error:
        read(text, name)
    assert words in str(error.value)


def test_a_prompt_belongs_to_a_folder(read, folder):
    """A folder needs one, a file has its own, and neither may be missing."""
    with pytest.raises(rh.InputError, match="whose pictures need a prompt"):
        read_jobs(folder, rh.load_registry(), shared={})
    with pytest.raises(rh.InputError, match="its jobs have their own"):
        read(lines({}), prompt="x")
    with pytest.raises(rh.InputError, match="there is no file or folder"):
        read_jobs(folder / "none", rh.load_registry(), prompt="x", shared={})
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(rh.InputError, match="no picture that ends in"):
        read_jobs(empty, rh.load_registry(), prompt="x", shared={})


def test_a_list_in_python(folder):
    """Mappings of what JSON can hold; paths may be paths."""
    jobs = [{"id": "a", "image": folder / "1.png", "prompt": "x"}]
    _, (job,) = read_jobs(jobs, rh.load_registry(), shared={})
    assert job.pictures == (folder / "1.png",)
    for wrong in (3, [3], [{"image": tiny.picture()}], [{"id": "a", "cfg": float("nan")}]):
        with pytest.raises(rh.InputError, match="job"):
            read_jobs(wrong, rh.load_registry(), shared={})
