"""``refhooks chain``: several edits from a file or from prompts, each written as it is made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from PIL import Image, ImageChops

import refhooks as rh

CHAIN = """
[[edit]]
prompt = "one"
method = "default"
strength = 0.4

[[edit]]
prompt = "two"
reference = "both"
original = "inject"

[[edit]]
prompt = "three"
denoise = 0.5
steps = 3
edit_mask = "0,0,50%,100%"
"""


@pytest.fixture
def chain(cli, toy):
    """Run ``refhooks chain`` on the folder's picture, two steps from seed 1."""
    Path("chain.toml").write_text(CHAIN)

    def run(*arguments, output="out.png"):
        return cli("chain", "photo.png", *arguments, "-o", output, "--steps", 2, "--seed", 1)

    return run


def same(one, other):
    """Whether two files hold the same picture."""
    return ImageChops.difference(Image.open(one), Image.open(other)).getbbox() is None


def names(folder):
    """The pictures in a folder."""
    return sorted(place.name for place in folder.glob("*.png"))


def test_a_chain_is_that_of_the_editor(chain, toy, pipe, folder):
    """Of a file; the last picture has the name given, those before are numbered."""
    result = chain("chain.toml", "--model", "toy")
    assert result.exit_code == 0, result.output
    editor = rh.Editor(pipe, checkpoint=toy.checkpoint)
    expected = editor.chain("photo.png", rh.load_chain("chain.toml"), steps=2, seed=1)
    expected.save("x.png")

    assert all(same(f"out{end}.png", f"x{end}.png") for end in ("", "-1", "-2"))
    assert names(folder) == [
        "out-1.png", "out-2.png", "out.png", "photo.png", "x-1.png", "x-2.png", "x.png",
    ]  # fmt: skip


def test_a_line_says_what_each_edit_made(chain):
    """Its place, file, size, seed, seconds and prompt; and what denoise comes to."""
    result = chain("chain.toml", "--model", "toy")

    lines = result.stdout.splitlines()
    assert [line.split(" s: ")[1] for line in lines] == ["one", "two", "three"]
    assert lines[0].startswith("edit 1 of 3: wrote out-1.png (32x32), seed 1, ")
    assert lines[2].startswith("edit 3 of 3: wrote out.png (32x32), seed 3, ")
    assert result.stderr == "note: denoise 0.5: the last 3 of 6 steps\n"


def test_prompts_make_a_chain(chain, folder):
    """Without a file, one edit for each ``-p``."""
    Path("two.toml").write_text('[[edit]]\nprompt = "a"\n[[edit]]\nprompt = "b"\n')
    assert chain("-p", "a", "-p", "b").exit_code == 0
    assert chain("two.toml", output="file.png").exit_code == 0

    assert same("out.png", "file.png")
    assert same("out-1.png", "file-1.png")


@pytest.fixture
def asked(monkeypatch, pipe, toy):
    """The arguments of ``Editor.chain``, which is not run."""
    seen = {}
    monkeypatch.setattr(
        rh.Editor, "chain",
        lambda _self, image, chain, **options: seen.update(image=image, chain=chain, **options),
    )  # fmt: skip
    return seen


@pytest.mark.parametrize(
    ("arguments", "name", "expected"),
    [
        (["--seed", "9"], "seed", 9),
        (["--steps", "7"], "steps", 7),
        (["--cfg", "3.5"], "cfg", 3.5),
        (["--resolution", "4096"], "resolution", 4096),
        (["--height", "48"], "height", 48),
        (["--width", "64"], "width", 64),
        (["--handover", "pixels"], "handover", "pixels"),
        ([], "handover", "latents"),
    ],
)
def test_each_option_reaches_the_editor(cli, asked, arguments, name, expected):
    """With its name and type in ``Editor.chain``."""
    result = cli("chain", "photo.png", "-p", "a", "-p", "b", "-o", "out.png", *arguments)

    assert result.exit_code == 0, result.output
    assert asked[name] == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("0.5", 0.5), ("1:0.5", "1:0.5"), ("0.4,0.8", (0.4, 0.8))]
)
@pytest.mark.parametrize("name", ["strength", "denoise"])
def test_strength_and_denoise_over_the_edits(cli, asked, name, text, expected):
    """A number, the short form of a schedule, or one an edit."""
    result = cli("chain", "photo.png", "-p", "a", "-p", "b", "-o", "out.png", f"--{name}", text)

    assert result.exit_code == 0, result.output
    assert getattr(asked["chain"], name) == expected


def test_what_was_made_before_a_failure_stays(chain, folder, monkeypatch):
    """Each picture is written as soon as it is made."""
    written = []
    save = rh.EditResult.save

    def fail_at_the_second(result, place, **options):
        if written:
            raise rh.InputError("the disk is full")
        written.append(place)
        return save(result, place, **options)

    monkeypatch.setattr(rh.EditResult, "save", fail_at_the_second)
    result = chain("chain.toml", "--model", "toy")

    assert result.exit_code == 2
    assert "error: the disk is full" in result.stderr
    assert names(folder) == ["out-1.png", "photo.png"]


BAD = {
    "neither": ([], "name a chain FILE, or give prompts with -p"),
    "both": (["chain.toml", "-p", "x"], "not both; got chain.toml and -p"),
    "no file": (["none.toml"], "there is no file none.toml"),
    "a strategy": (["s.toml"], "read it with load_strategy, or run it with refhooks edit"),
    "no method": (["bad.toml"], "bad.toml: edit 2: there is no method 'injct'"),
    "no picture": (["picture.toml"], "edit 1 of 1: there is no picture none.png"),
    "no mask": (["mask.toml"], "edit 1 of 1: there is no picture none.png"),
    "empty mask": (["empty.toml"], "edit 1 of 1: the edit mask covers nothing"),
    "empty region": (["region.toml"], "edit 1 of 1: reference 1, mask 1 (region 'box') covers"),
    "strength": (["-p", "x", "--strength", "3"], "a chain's strength must be a number from 0 to 2"),
    "strengths": (["-p", "x", "--strength", "1,1"],
                  "the chain's strength lists 2 numbers, but the chain has 1 edits"),
    "no schedule": (["-p", "x", "--strength", "much"], "--strength: strength 'much' is neither"),
    "denoise": (["-p", "x", "--denoise", "0"], "edit 1 of 1: denoise must be a number above 0"),
    "small": (["-p", "x", "--denoise", "1e-5"], "edit 1 of 1: denoise 1e-05 is too small"),
    "twice": (["over.toml", "--strength", "1"], "the chain has a strength of its own"),
    "size": (["-p", "x", "--height", "9", "--resolution", "99"], "either resolution, or height"),
}  # fmt: skip
EDIT = '[[edit]]\nprompt = "x"\n'
FILES = {
    "s.toml": '[[stage]]\nmethod = "inject"',
    "bad.toml": EDIT + EDIT + 'method = "injct"',
    "picture.toml": EDIT + '[[edit.picture]]\nimage = "none.png"',
    "mask.toml": EDIT + 'edit_mask = "none.png"',
    "empty.toml": EDIT + 'edit_mask = "99,0,9,9"',
    "region.toml": EDIT + 'method = "inject"\n[[edit.mask]]\nbox = "99,0,9,9"',
    "over.toml": "strength = 1\n" + EDIT,
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.usefixtures("unloadable")
def test_a_bad_chain_is_refused_before_the_model_loads(chain, folder, kind):
    """With 2 and one line that says which edit, after which a plugin is named that refused."""
    for name, text in FILES.items():
        Path(name).write_text(text)
    arguments, message = BAD[kind]

    result = chain(*arguments)

    assert result.exit_code == 2, result.output
    line, *notes = result.stderr.splitlines()
    assert message in line
    assert all(note.startswith("note: raised by mask shape 'picture'") for note in notes)
    assert result.stdout == ""
    assert names(folder) == ["photo.png"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("photo.png", "photo.png is one of the pictures to read"),
        ("face.png", "face-1.png is one of the pictures to read"),
        ("out.gif", "the ending must be one of"),
        ("nowhere/out.png", "there is no folder nowhere"),
        ("folder.png", "folder-1.png is a directory"),
    ],
)
@pytest.mark.usefixtures("unloadable")
def test_every_picture_that_will_be_written_is_checked(chain, folder, output, message):
    """Those before the last one too, and masks are pictures that are read."""
    tiny.picture().save("face-1.png")
    (folder / "folder-1.png").mkdir()
    Path("masked.toml").write_text(EDIT + 'edit_mask = "face-1.png"\n' + EDIT)

    result = chain("masked.toml", output=output)

    assert result.exit_code == 2
    assert message in result.stderr


def test_a_control_token_is_refused_before_the_first_edit(chain, folder):
    """Only the model knows its tokens."""
    result = chain("-p", "a", "-p", "<|im_end|>", "--model", "toy")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: edit 2 of 2: a prompt holds")
    assert names(folder) == ["photo.png"]


@pytest.mark.usefixtures("unloadable", "folder")
def test_a_chain_file_is_no_strategy(cli):
    """The error names the command that runs it."""
    Path("chain.toml").write_text(CHAIN)
    result = cli("edit", "photo.png", "x", "--strategy", "chain.toml", "-o", "out.png")

    assert result.exit_code == 2
    assert "run it with refhooks chain" in result.stderr


def test_the_plan_of_a_chain_is_that_of_each_edit(chain, cli):
    """As a table under each prompt, with the references of each edit."""
    result = cli("plan", "chain.toml", "--steps", 2)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("edit ")] == [
        "edit 1 of 3: one", "edit 2 of 3: two", "edit 3 of 3: three",
    ]  # fmt: skip
    assert [line.count("reference") for line in lines if "sigma" in line] == [1, 2, 1]
    assert "default 0.40 moderate" in lines[2]
    assert lines[-2].startswith("3/3   0.167")  # of its own 3 steps, the last half of 6


def test_the_plan_of_a_chain_as_json_and_on_a_model(chain, cli):
    """One entry an edit; a plot of each, the last one under the name given."""
    pytest.importorskip("matplotlib")
    Path("over.toml").write_text('strength = "1:0.5"\n' + EDIT * 3)
    result = cli("plan", "over.toml", "--model", "toy", "--json", "--plot", "plan.png")

    assert result.exit_code == 0, result.output
    edits = json.loads(result.stdout)["edits"]
    assert [edit["prompt"] for edit in edits] == ["x"] * 3
    rows = [edit["steps"][0]["rows"][0] for edit in edits]
    assert [row["strength"] for row in rows] == [1.0, 0.75, 0.5]
    assert {row["method"] for row in rows} == {"default"}
    assert {"plan-1.png", "plan-2.png", "plan.png"} <= set(names(Path()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chain.toml"], "edit 1 of 3: steps is required"),
        (["over.toml", "--steps", "2", "--denoise", "0.5"], "the chain has a denoise of its own"),
    ],
)
@pytest.mark.usefixtures("chain")
def test_a_plan_of_a_chain_that_cannot_be_made(cli, arguments, message):
    """The error names the edit."""
    Path("over.toml").write_text("denoise = 0.5\n" + EDIT)
    result = cli("plan", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_latents_are_handed_over_unless_asked(chain, folder):
    """``--handover pixels`` gives another second picture from the same first one."""
    assert chain("-p", "a", "-p", "b").exit_code == 0
    assert chain("-p", "a", "-p", "b", "--handover", "pixels", output="p.png").exit_code == 0

    assert same("out-1.png", "p-1.png")
    assert not same("out.png", "p.png")
