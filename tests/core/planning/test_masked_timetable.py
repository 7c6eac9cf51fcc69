"""What timetables, tables, plots and ``refhooks plan`` say of masks, tokens and denoise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from click.testing import CliRunner
from PIL import Image

import refhooks as rh
from refhooks.cli import main

FILE = """
[[reference]]
image = "photo.png"
[[reference.stage]]
method = "default"
[[reference.mask]]
box = "0,0,50%,100%"
strength = [0, 0.5, 1]

[[reference]]
image = "coat.png"
[[reference.stage]]
method = "default"
until = 0.5
[[reference.stage]]
method = "inject"
[[reference.mask]]
kind = "content"
box = "0,0,50%,100%"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with two pictures and a file of references with masks."""
    monkeypatch.chdir(tmp_path)
    tiny.picture(1, (32, 32)).save("photo.png")
    tiny.picture(2, (32, 32)).save("coat.png")
    Path("r.toml").write_text(FILE)
    return tmp_path


@pytest.fixture
def cli(folder, monkeypatch, pipe):
    """Run ``refhooks plan`` where the tiny pipeline is the embedded model."""
    area = 32 * 32
    sizes = rh.Checkpoint(output=area, reference=area, vision=area, cfg=2.0, steps=3)
    model = rh.EmbeddedModel("toy", "random weights", lambda: pipe, sizes)
    monkeypatch.setitem(rh.load_registry().models, "toy", model)
    return lambda *arguments: CliRunner().invoke(main, ["plan", *map(str, arguments)])


def table(*rows):
    """A timetable of one reference with these areas and tokens."""
    total = len(rows)
    return rh.Timetable(
        tuple(
            rh.Planned(
                rh.Step(index=index, total=total, sigma=1 - index / total),
                (rh.Row(reference=0, stage=0, method="x", strength=1.0, area=area, tokens=tokens),),
            )
            for index, (area, tokens) in enumerate(rows)
        )
    )


@pytest.mark.parametrize(
    ("rows", "heads", "last", "notes"),
    [
        ([(None, None)] * 2, [], [], []),
        ([(0.5, 8)] * 2, [], [], ["reference 1, at every step: area 0.50, tokens 8"]),
        ([(None, 8)] * 2, [], [], ["reference 1, at every step: tokens 8"]),
        ([(0.5, None), (1.0, None)], ["area 1"], ["1.00"], []),
        ([(0.5, 8), (0.5, 0)], ["tokens 1"], ["0"], ["reference 1, at every step: area 0.50"]),
        ([(0.004, 1), (0.0, 2)], ["area 1", "tokens 1"], ["0.00", "2"], []),
    ],
)
def test_what_changes_is_a_column_and_what_does_not_a_note(rows, heads, last, notes):
    """So that three references still fit beside each other; what is not known is not shown."""
    timetable = table(*rows)
    shown, lines = timetable.cells()

    assert list(shown) == ["step", "sigma", "reference 1", *heads]
    assert list(lines[-1][3:]) == last
    assert timetable.notes() == notes
    assert str(timetable).splitlines()[3:] == notes


def test_a_small_area_is_not_shown_as_none():
    """Its first digit is."""
    assert table((0.004, 1), (0.5, 1)).cells()[1][0][3] == "0.004"


def test_a_plan_with_a_model_shows_areas_and_tokens(cli):
    """Of the file's pictures; those that vary over the steps at each of them."""
    result = cli("r.toml", "--model", "toy")

    assert result.exit_code == 0, result.stderr
    head, *lines, note = result.stdout.splitlines()
    assert " ".join(head.split()) == "step sigma reference 1 area 1 reference 2 tokens 2"
    assert [line.split()[5] for line in lines] == ["1.00", "0.75", "0.50"]
    assert [line.split()[-1] for line in lines] == ["8", "8", "0"]
    assert note == "reference 1, at every step: tokens 16"


def test_a_plan_without_a_model_knows_no_areas(cli):
    """Nor tokens; the strengths of the masks are checked all the same."""
    result = cli("r.toml", "--steps", 3)
    refused = cli("r.toml", "--steps", 4)

    assert "area" not in result.stdout
    assert refused.exit_code == 2
    assert "reference 1, mask 1 (region 'box')" in refused.stderr


def test_a_plot_shows_the_area_where_it_is_below_all(cli):
    """A dashed line; a plot without masks has none."""
    cli("r.toml", "--model", "toy", "--plot", "masked.png")
    Path("r.toml").write_text(FILE.replace("0,0,50%,100%", "0,0,100%,100%"))
    cli("r.toml", "--model", "toy", "--plot", "whole.png")

    def dashes(name):
        with Image.open(name) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        panel = pixels[60:300, 75:940]
        dark = panel.max(axis=2) < 60
        return dark[:, 30:250].sum()

    assert dashes("masked.png") > dashes("whole.png") + 100


@pytest.mark.parametrize(
    ("arguments", "sigmas", "note"),
    [
        (["--denoise", 1], [1.0, 0.667, 0.333], None),
        (["--denoise", 0.5], [0.5, 0.333, 0.167], "denoise 0.5: the last 3 of 6 steps"),
        (["--denoise", 0.7], [0.75, 0.5, 0.25],
         "denoise 0.7: the last 3 of 4 steps, which is 0.75"),
    ],
)  # fmt: skip
def test_plan_takes_denoise(cli, arguments, sigmas, note):
    """The noise levels begin lower; what it comes to in whole steps is said."""
    result = cli("r.toml", "--steps", 3, *arguments)
    shown = cli("r.toml", "--steps", 3, "--json", *arguments)

    read = [step["sigma"] for step in json.loads(shown.stdout)["steps"]]
    assert read == pytest.approx(sigmas, abs=1e-3)
    said = [line for line in result.stderr.splitlines() if "denoise" in line]
    assert said == ([f"note: {note}"] if note else [])
    assert shown.stderr == ""


@pytest.mark.parametrize("denoise", ["0", "1.1", "nan", "-1", "1e-9"])
def test_plan_refuses_a_denoise_before_the_model_loads(cli, monkeypatch, denoise):
    """With 2 and one line."""
    monkeypatch.setattr(rh.Editor, "from_pretrained", lambda *_: pytest.fail("loaded"))
    result = cli("r.toml", "--model", "toy", "--denoise", denoise)

    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "denoise" in line
