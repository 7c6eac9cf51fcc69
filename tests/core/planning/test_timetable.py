"""The timetable as text, JSON, table and plot, and the commands that show and take it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from click.testing import CliRunner
from PIL import Image, ImageChops

import refhooks as rh
from refhooks.cli import main

STRATEGY = """
[[stage]]
method = "default"
strength = 0.6
until = 0.5

[[stage]]
method = "inject"
strength = { schedule = "linear", start = 0.4, end = 1.2 }
"""
REFERENCES = """
[[reference]]
image = "photo.png"
[[reference.stage]]
method = "cross_attn"
strength = "1:0"

[[reference]]
image = "coat.png"
"""

BANDS = [
    (0.0, "none"), (1e-9, "minimal"), (0.1, "minimal"), (0.3, "minimal"), (0.34, "minimal"),
    (0.35, "moderate"), (0.4, "moderate"), (0.6, "moderate"), (0.64, "moderate"),
    (0.65, "strong"), (0.7, "strong"), (0.9, "strong"), (0.94, "strong"), (0.95, "standard"),
    (1.0, "standard"), (1.05, "standard"), (1.06, "enhanced"), (1.1, "enhanced"),
    (1.5, "enhanced"), (1.51, "overpowering"), (1.6, "overpowering"), (2.0, "overpowering"),
]  # fmt: skip


@pytest.mark.parametrize(("strength", "band"), BANDS)
def test_every_strength_has_a_name_of_the_guide(strength, band):
    """Its bands as they stand, with no gap between them."""
    assert rh.Row(reference=0, stage=0, method="default", strength=strength).band == band


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with two pictures and a strategy file of each form."""
    monkeypatch.chdir(tmp_path)
    tiny.picture(1, (32, 24)).save("photo.png")
    tiny.picture(2, (32, 32)).save("coat.png")
    Path("s.toml").write_text(STRATEGY)
    Path("r.toml").write_text(REFERENCES)
    return tmp_path


@pytest.fixture
def cli(folder, monkeypatch, pipe):
    """Run a command line where the tiny pipeline is the embedded model."""
    area = 32 * 32
    sizes = rh.Checkpoint(output=area, reference=area, vision=area, cfg=2.0, steps=3)
    model = rh.EmbeddedModel("toy", "random weights", lambda: pipe, sizes)
    monkeypatch.setitem(rh.load_registry().models, "toy", model)
    return lambda *arguments: CliRunner().invoke(main, [str(entry) for entry in arguments])


def test_a_timetable_is_json(folder):
    """One entry a step with its rows, indices from 0; it is what the values say."""
    timetable = rh.plan(rh.load_references("r.toml"), 2)

    assert json.loads(timetable.to_json()) == {
        "steps": [
            {"index": 0, "total": 2, "sigma": 1.0, "progress": 0.0, "rows": [
                {"reference": 0, "stage": 0, "method": "cross_attn", "strength": 1.0,
                     "masks": [], "area": None, "tokens": None, "reused": False,
                         "band": "standard"},
                {"reference": 1, "stage": 0, "method": "native", "strength": 1.0,
                     "masks": [], "area": None, "tokens": None, "reused": False,
                         "band": "standard"},
            ]},
            {"index": 1, "total": 2, "sigma": 0.5, "progress": 0.5, "rows": [
                {"reference": 0, "stage": 0, "method": "cross_attn", "strength": 0.0,
                     "masks": [], "area": None, "tokens": None, "reused": False,
                         "band": "none"},
                {"reference": 1, "stage": 0, "method": "native", "strength": 1.0,
                     "masks": [], "area": None, "tokens": None, "reused": False,
                         "band": "standard"},
            ]},
        ],
        "remarks": [],
    }  # fmt: skip


def test_the_plan_of_a_file_is_a_table(cli):
    """One line a step, and a note that the noise levels are no model's."""
    result = cli("plan", "s.toml", "--steps", 4)

    assert result.exit_code == 0, result.stderr
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["step", "sigma", "reference", "1"],
        ["1/4", "1.000", "default", "0.60", "moderate"],
        ["2/4", "0.750", "default", "0.60", "moderate"],
        ["3/4", "0.500", "inject", "0.40", "moderate"],
        ["4/4", "0.250", "inject", "1.20", "enhanced"],
    ]
    useful, unshifted = result.stderr.splitlines()
    assert "inject (add, input) is marked 'not shown useful'" in useful
    assert unshifted == "note: unshifted noise levels; --model shows those of a model"


def test_the_plan_with_a_model_has_its_noise_levels(cli, folder, pipe):
    """And its number of steps, and its own method where the file names none."""
    result = cli("plan", "r.toml", "--model", "toy", "--json")
    shown = json.loads(result.stdout)

    editor = rh.Editor(pipe, checkpoint=rh.load_registry().models["toy"].checkpoint)
    source, other = rh.load_references("r.toml")
    ran = editor.edit(source, "night", references=[other], seed=1).timetable

    assert result.stderr == ""
    assert shown == {"model": "toy", **json.loads(ran.to_json())}
    assert [row["method"] for row in shown["steps"][0]["rows"]] == ["cross_attn", "default"]


def test_noise_levels_follow_the_size(editor):
    """A larger picture shifts them, as the scheduler does in a run."""
    small = rh.plan("default", 4, editor=editor, height=32, width=32)
    large = rh.plan("default", 4, editor=editor, height=1024, width=1024)
    area = rh.plan("default", 4, editor=editor, resolution=1024 * 1024)

    assert small.sigmas[1] < large.sigmas[1] == area.sigmas[1]


def test_the_picture_gives_the_shape_of_a_plan(editor, folder):
    """Where only one side is given, the other follows from it, as in a run."""
    tiny.picture(1, (256, 32)).save("wide.png")

    wide = rh.plan([rh.Reference("wide.png")], 4, editor=editor, height=256)

    assert wide == rh.plan([rh.Reference("wide.png")], 4, editor=editor, height=256, width=2048)
    assert wide != rh.plan([rh.Reference("wide.png")], 4, editor=editor, height=256, width=256)


def test_the_plan_command_takes_a_size(cli):
    """Noise levels are those of a picture of that size."""
    model = ["plan", "s.toml", "--steps", 4, "--model", "toy"]
    sides = [("--height", 64, "--width", 1024), ("--height", 1024, "--width", 1024)]

    low, high = (cli(*model, *side) for side in sides)

    assert low.exit_code == high.exit_code == 0
    assert low.stdout != high.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["s.toml"], "steps is required without a model (--steps N, or --model NAME)"),
        (["none.toml", "--steps", 4], "there is no file none.toml"),
        (["s.toml", "--steps", 4, "--plot", "plan.gif"], "plan.gif: a plot is written as .png"),
        (["s.toml", "--steps", 4, "--plot", "no/plan.png"], "no/plan.png cannot be written"),
        (["s.toml", "--steps", 4, "--model", "tyo"], "Did you mean 'toy'?"),
        (["s.toml", "--steps", 4, "--height", 64], "change what --model or --cost show"),
        (["r.toml", "--steps", 4, "--plot", "coat.png"], "coat.png is one of the files to read"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(cli, arguments, words):
    """With 2 and one line."""
    result = cli("plan", *arguments)

    assert result.exit_code == 2
    assert words in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "text",
    [
        '[[stage]]\nmethod = "default"\n[[mask]]\nimage = "coat.png"',
        '[[edit]]\nprompt = "x"\n[[edit.picture]]\nimage = "coat.png"',
        '[[edit]]\nprompt = "x"\nedit_mask = "coat.png"',
        '[[edit]]\nprompt = "x"\n[edit.edit_mask]\nimage = "coat.png"',
    ],
    ids=["a strategy's mask", "a chain's picture", "a chain's path", "a chain's edit mask"],
)
def test_a_plot_is_not_drawn_over_what_a_file_names(cli, text):
    """Whoever names it there."""
    Path("m.toml").write_text(text)
    before = Path("coat.png").read_bytes()

    result = cli("plan", "m.toml", "--steps", 4, "--plot", "coat.png")

    assert result.exit_code == 2
    assert "coat.png is one of the files to read" in result.stderr
    assert Path("coat.png").read_bytes() == before


@pytest.mark.parametrize("what", [3, [], ["default"], None])
def test_only_strategies_are_planned(what):
    """Or references with theirs; ``None`` is the native method."""
    if what is None:
        assert rh.plan(what, 2).strengths(0) == (1.0, 1.0)
        return
    with pytest.raises(rh.InputError):
        rh.plan(what, 2)


def test_a_plan_refuses_what_the_edit_would():
    """An unknown method, and a number of steps that is none."""
    with pytest.raises(rh.UnknownNameError, match="Did you mean 'inject'"):
        rh.plan("injekt", 2)
    with pytest.raises(rh.UnknownNameError, match="no method 'native'"):
        rh.plan("native", 2)
    with pytest.raises(rh.InputError, match="steps must be a whole number from 1 to 1000, got 0"):
        rh.plan("default", 0)


def test_a_plot_shows_every_reference_and_method(cli):
    """A picture with a panel a reference, in which each method has a colour of its own."""
    one = cli("plan", "s.toml", "--steps", 8, "--plot", "one.png")
    two = cli("plan", "r.toml", "--steps", 8, "--plot", "two.png")

    assert "wrote one.png" in one.stdout
    assert two.exit_code == 0, two.stderr
    with Image.open("one.png") as picture, Image.open("two.png") as taller:
        assert taller.height > 1.5 * picture.height
        counts = {colour: count for count, colour in picture.convert("RGB").getcolors(2**20)}
    coloured = [colour for colour in counts if max(colour) - min(colour) > 60]
    assert sum(counts[colour] > 1000 for colour in coloured) == 2


def test_every_reference_has_a_panel_of_one_size(folder):
    """However many legends and stages there are: nothing squeezes a panel."""
    stages = [rh.Stage("default", 0.0, until=0.3), rh.Stage("inject", 1.0, until=0.7)]
    strategy = rh.Strategy([*stages, rh.Stage("cross_attn", "1:2")])
    with pytest.warns(rh.RefhooksWarning, match="artifacts"):
        timetable = rh.plan([rh.Reference("", strategy)] * 3, 28)
    timetable.save_plot("plan.png")

    with Image.open("plan.png") as picture:
        middle = picture.width // 2  # of a bar, or of the line between two
        columns = np.asarray(picture.convert("RGB"))[:, middle - 5 : middle + 6].astype(int)
    bars = (columns.max(axis=2) - columns.min(axis=2) > 60).any(axis=1)
    edges = np.flatnonzero(np.diff(bars.astype(int)))
    assert len(edges) == 6
    heights = np.diff(edges)[::2]
    assert heights.min() > 80
    assert heights.max() - heights.min() <= 2


def test_without_matplotlib_a_plot_says_what_to_install(folder, monkeypatch):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(rh.InputError, match=r'pip install "refhooks\[plot\]"'):
        rh.plan("default", 2).save_plot("plan.png")


def same(one, other):
    """Whether two files hold the same picture."""
    return ImageChops.difference(Image.open(one), Image.open(other)).getbbox() is None


def run(cli, output, *arguments):
    """Edit the folder's picture and return the result."""
    given = ["--steps", 4, "--seed", 1, "--model", "toy", "-o", output, *arguments]
    result = cli("edit", "photo.png", "make it blue", *given)
    assert result.exit_code == 0, result.stderr
    return result


def test_edit_takes_a_short_form(cli, folder):
    """It gives the picture that the schedule gives, and not that of one strength."""
    Path("c.toml").write_text(
        '[[stage]]\nmethod = "default"\n'
        'strength = { schedule = "cosine", start = 0.4, end = 1.0 }\n'
    )
    run(cli, "short.png", "--strength", "0.4:1.0:cosine")
    run(cli, "file.png", "--strategy", "c.toml")
    run(cli, "flat.png", "--strength", "0.4")

    assert same("short.png", "file.png")
    assert not same("short.png", "flat.png")


def test_edit_takes_a_file_with_references(cli, folder):
    """The picture of the command line is the first one; the others come from the file."""
    quiet = run(cli, "file.png", "--strategy", "r.toml")
    run(cli, "named.png", "--method", "cross_attn", "--strength", "1:0", "--ref", "coat.png")
    Path("r.toml").write_text(REFERENCES.replace('"photo.png"', '"other.png"'))
    said = run(cli, "replaced.png", "--strategy", "r.toml")

    assert same("file.png", "named.png")
    assert same("file.png", "replaced.png")
    assert quiet.stderr == ""
    assert said.stderr == "note: photo.png takes the place of other.png in the strategy\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--strength", "0.4:x"],
            "--strength: strength '0.4:x' is neither a number nor a",
        ),
        (["--strength", "0.4:3"], "schedule 'linear': end must be a number from 0 to 2, got 3"),
        (["--strength", ""], "--strength: strength must be a number from 0 to 2, got"),
        (["--strategy", "s.toml", "--strength", "1"], "leave --method and --strength out"),
        (["--strategy", "s.toml", "--method", "inject"], "leave --method and --strength out"),
        (["--strategy", "none.toml"], "there is no file none.toml"),
    ],
)
def test_edit_refuses_a_strategy_before_the_model_loads(cli, monkeypatch, arguments, words):
    """With 2 and one line."""
    monkeypatch.setattr(rh.Editor, "from_pretrained", lambda *_: pytest.fail("loaded"))
    result = cli("edit", "photo.png", "x", "-o", "out.png", *arguments)

    assert result.exit_code == 2
    assert words in result.stderr
