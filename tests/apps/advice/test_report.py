"""What is shown of an edit: compare, plots, the HTML report, and ``refhooks explain``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
from click.testing import CliRunner
from PIL import Image

import refhooks as rh
from refhooks._apps.advice.plots import draw_drift
from refhooks._apps.advice.report import difference_picture
from refhooks.cli import main


@pytest.fixture
def result(editor, tmp_path, monkeypatch):
    """Two pictures of a picture with a name to escape, with attention."""
    monkeypatch.chdir(tmp_path)
    tiny.picture(1).save("photo.png")
    return editor.edit(
        "photo.png", "<b>blue", steps=3, seed=1, n=2, record_attention=True, height=48, width=64
    )


def explain(*arguments):
    """Run ``refhooks explain``."""
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def test_compare_shows_source_result_and_difference(result):
    """Side by side, of the picture that is asked for."""
    assert result.compare().size == result.compare(1).size
    assert result.compare().width == 3 * 384 + 4 * 16
    assert not np.array_equal(np.array(result.compare()), np.array(result.compare(1)))


def test_the_difference_goes_from_black_to_white():
    """Over red and yellow."""
    before = Image.new("RGB", (4, 1), "black")
    after = Image.new("RGB", (4, 1))
    for place, value in enumerate((0, 85, 170, 255)):
        after.putpixel((place, 0), (value, 0, 0))
    shown = [difference_picture(before, after).getpixel((place, 0)) for place in range(4)]
    assert shown == [(0, 0, 0), (255, 0, 0), (255, 255, 0), (255, 255, 255)]


def test_the_attention_plot_is_written(result, editor):
    """Only where it was recorded, and only as .png."""
    pytest.importorskip("matplotlib")
    assert result.plot_attention("a.png") == Path("a.png")
    with Image.open("a.png") as plot:
        assert plot.width == 960
    with pytest.raises(rh.InputError, match=r"\.png"):
        result.plot_attention("a.jpg")
    plain = editor.edit("photo.png", "blue", steps=2, seed=1)
    with pytest.raises(rh.InputError, match="record_attention=True"):
        plain.plot_attention("b.png")


def test_the_drift_plot_shows_each_time_that_keys_were_stored_anew(editor, tmp_path, monkeypatch):
    """The mean and the worst block of every reference, in the report as well."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    tiny.picture(1).save("photo.png")
    stage = rh.Stage(rh.method("cross_attn", reuse="every 2"))
    result = editor.edit("photo.png", "blue", strategy=stage, steps=6, seed=1, cfg=2.0)

    mean, worst = draw_drift(result.drift).axes[0].get_lines()

    at = sorted({it.step for it in result.drift})
    assert list(mean.get_xdata()) == [step + 1 for step in at] == list(worst.get_xdata())
    own = [[it for it in result.drift if it.step == step] for step in at]
    assert list(mean.get_ydata()) == [max(it.mean for it in step) for step in own]
    assert list(worst.get_ydata()) == [max(it.worst_block[1] for it in step) for step in own]
    assert result.plot_drift("d.png") == Path("d.png")
    assert "Drift of what was reused" in result.save_report("r.html").read_text("utf-8")


def test_without_reuse_there_is_no_drift_to_plot(result):
    """Said, with the option that would; a report leaves it out."""
    with pytest.raises(rh.InputError, match="nothing could drift; a method's option reuse"):
        result.plot_drift("d.png")
    assert "Drift" not in result.save_report("r.html").read_text("utf-8")
    assert not Path("d.png").exists()


def test_the_report_is_one_file(result):
    """Nothing is fetched, names are escaped, and the plots are in it."""
    pytest.importorskip("matplotlib")
    text = result.save_report("r.html").read_text(encoding="utf-8")
    assert "<b>blue" not in text
    assert "&lt;b&gt;blue" in text
    sources = re.findall(r'src="([^"]{10})', text)
    assert sources == ["data:image"] * 5
    assert "http" not in text
    assert list(Path().glob("*.part")) == []


def test_a_report_without_matplotlib_says_what_is_missing(result, monkeypatch):
    """And has everything else."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = result.save_report("r.html").read_text(encoding="utf-8")
    assert text.count("refhooks[plot]") == 2
    assert text.count('src="data:image') == 3


@pytest.mark.parametrize(("path", "message"), [("r.txt", ".html"), ("no/r.html", "no folder")])
def test_a_report_has_a_place(result, path, message):
    """Before anything is drawn."""
    with pytest.raises(rh.InputError, match=message):
        result.save_report(path)


def test_explain_reads_the_recipe(result):
    """Source, strengths and masks are those of the edit: the advice is the result's."""
    result.save("out.png")
    told = explain("out-2.png", "--json", "--html", "r.html")
    assert told.exit_code == 0, told.output
    held, expected = json.loads(told.stdout), json.loads(result.advise(1).to_json())
    assert held["measured"] == expected["measured"]
    assert held["issues"] == expected["issues"]
    assert held["references"][0]["mean"] == expected["references"][0]["mean"]
    assert "Strength over the steps" in Path("r.html").read_text(encoding="utf-8")


def test_explain_lays_a_mask_that_is_inside_of_the_picture(editor, result):
    """As the run did; and one that is named goes before the recipe's."""
    mask = Image.new("L", (64, 48))
    mask.paste(255, (0, 0, 32, 48))
    mask.save("mask.png")
    size = {"height": 48, "width": 64}
    made = editor.edit("photo.png", "blue", steps=2, seed=1, edit_mask="mask.png", **size)
    made.save("inside.png", embed=True)
    expected = json.loads(made.advise(0).to_json())["measured"]
    Path("mask.png").unlink()

    told = explain("inside.png", "--json")
    other = explain("inside.png", "--json", "--edit-mask", "0,50%,100%,50%")

    assert told.exit_code == other.exit_code == 0, told.output + other.output
    measured = json.loads(told.stdout)["measured"]
    assert measured == expected
    assert measured != json.loads(other.stdout)["measured"]


def test_explain_needs_a_source_where_there_is_no_recipe(result):
    """With one it looks at the two pictures."""
    result.images[0].save("bare.png")
    refused = explain("bare.png")
    assert refused.exit_code == 2
    assert "--source" in refused.stderr
    told = explain("bare.png", "--source", "photo.png", "--edit-mask", "0,0,50%,100%")
    assert told.exit_code == 0, told.output
    assert "no strength is known" in told.stdout
    assert "outside" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.png"], "none.png"),
        (["photo.png", "--source", "none.png"], "none.png"),
        (["photo.png", "--source", "photo.png", "--edit-mask", "5"], "mask"),
        (["photo.png", "--edit-mask", "none.png"], "there is no picture none.png\n"),
        (["photo.png", "--source", "photo.png", "--html", "r.txt"], ".html"),
    ],
)
@pytest.mark.usefixtures("result")
def test_explain_refuses_what_it_cannot_use(arguments, message):
    """With what is wrong."""
    told = explain(*arguments)
    assert told.exit_code == 2
    assert message in told.stderr
