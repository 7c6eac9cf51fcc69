"""``refhooks score``: what it runs, prints and writes, and how it goes on."""

from __future__ import annotations

import json

import attrs
import pytest
import tiny
from click.testing import CliRunner

import refhooks as rh
from refhooks.cli import main
from refhooks.score import Scorecard

SMALL = ("--steps", 2, "--cfg", 1, "--methods", "default", "--strengths", "0,1", "--strengths-only")


@pytest.fixture
def embedded(toy, pairs, monkeypatch):
    """The tiny pipeline as the embedded model, with pairs."""
    model = attrs.evolve(toy, pairs=lambda count: [it for it in pairs for _ in range(count)])
    monkeypatch.setitem(rh.load_registry().models, "toy", model)
    return model


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Run a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(main, ["score", *map(str, arguments)])

    return run


@pytest.mark.usefixtures("embedded")
def test_a_scorecard_is_printed_and_written(cli, tmp_path):
    """A table, JSON, CSV and two plots; the same command again runs nothing."""
    first = cli(*SMALL, "--scenes", 1, "--json", "also.json")
    again = cli(*SMALL, "--scenes", 1, "--json", "also.json")

    assert first.exit_code == 0, first.output
    assert "2 cells, 3 pairs of 3 kinds: 6 edits of 2 steps" in first.stderr
    assert first.stdout == again.stdout
    assert "\ndefault 1 " in first.stdout
    assert first.stdout.count("\nthe autoencoder alone ") == 2
    assert "kept_ssim: mean SSIM with the source" in first.stdout
    written = {place.name for place in (tmp_path / "score").iterdir()}
    assert {"scorecard.json", "scorecard.csv", "strength.png", "tradeoff.png"} <= written
    card = Scorecard.read_json(tmp_path / "also.json")
    assert card == Scorecard.read_json(tmp_path / "score" / "scorecard.json")
    assert [cell.name for cell in card.cells] == ["default 0", "default 1"]
    assert len((tmp_path / "score" / "store" / "batches.jsonl").read_text().splitlines()) == 4


@pytest.mark.usefixtures("embedded")
def test_quick_is_two_methods_at_three_strengths(cli, tmp_path):
    """The model's own first, four scenes of each kind that is asked for."""
    result = cli("--quick", "--steps", 2, "--cfg", 1, "--kinds", "whole")

    assert result.exit_code == 0, result.output
    card = Scorecard.read_json(tmp_path / "score" / "scorecard.json")
    assert [cell.strength for cell in card.cells] == [0.0, 0.5, 1.0] * 2
    assert card.cells[0].method == "default"
    assert [scene.kind for scene in card.scenes] == ["whole"] * 4


@pytest.mark.usefixtures("embedded")
def test_other_settings_do_not_mix(cli):
    """The folder of one run refuses another; more cells or scenes are welcome."""
    assert cli(*SMALL, "--kinds", "whole", "--scenes", 1).exit_code == 0

    refused = cli(*SMALL, "--kinds", "whole", "--scenes", 1, "--seed", 3)
    more = cli(*SMALL, "--kinds", "whole", "--scenes", 2, "--denoise", "0.5")

    assert refused.exit_code == 2
    assert "holds results with seed 0, not 3; name another folder with -o" in refused.stderr
    assert more.exit_code == 0, more.output


@pytest.mark.usefixtures("embedded")
def test_an_interrupted_run_says_how_to_go_on(cli, monkeypatch):
    """And goes on."""
    whole = cli(*SMALL, "--scenes", 1, "-o", "whole")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("refhooks.cli._score._Watch.see", stop)
        stopped = cli(*SMALL, "--scenes", 1, "-o", "other")
    went_on = cli(*SMALL, "--scenes", 1, "-o", "other")

    assert stopped.exit_code == 130
    assert "the same command goes on from there" in stopped.stderr
    assert went_on.stdout.replace("other/", "whole/") == whole.stdout


@pytest.mark.usefixtures("toy")
def test_pairs_of_one_s_own(cli, tmp_path):
    """From a manifest, on any model; what is not known of them is absent."""
    tiny.picture(1, (32, 32)).save(tmp_path / "a.png")
    tiny.picture(2, (32, 32)).save(tmp_path / "b.png")
    lines = [{"source": "a.png", "prompt": "x", "right": "b.png", "mask": True}] * 2
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(line) for line in lines))

    result = cli(*SMALL, "--pairs", "pairs.jsonl")

    assert result.exit_code == 0, result.output
    card = Scorecard.read_json(tmp_path / "score" / "scorecard.json")
    assert card.kinds == ("edit",)
    known = ("done", "edges", "copied", "attention", "done_ciede2000", "done_ssim")
    assert card.measures == known
    assert "without tradeoff.png: there is nothing to draw" in result.stderr


@pytest.mark.usefixtures("toy")
def test_cells_of_a_file(cli, tmp_path, pairs, monkeypatch):
    """They are all that is run."""
    model = attrs.evolve(rh.load_registry().models["toy"], pairs=lambda _count: pairs[:1])
    monkeypatch.setitem(rh.load_registry().models, "toy", model)
    (tmp_path / "cells.toml").write_text('[[cell]]\nname = "mine"\nmethod = "inject"\nsteps = 3')

    result = cli("--cells", "cells.toml", "--cfg", 1)

    assert result.exit_code == 0, result.output
    card = Scorecard.read_json(tmp_path / "score" / "scorecard.json")
    assert [cell.name for cell in card.cells] == ["mine"]


@pytest.mark.usefixtures("toy")
def test_a_name_is_shown_as_it_is(cli, tmp_path, pairs, monkeypatch):
    """It is no markup; the card is there before anything is printed."""
    model = attrs.evolve(rh.load_registry().models["toy"], pairs=lambda _count: pairs[:1])
    monkeypatch.setitem(rh.load_registry().models, "toy", model)
    name = 'name = "mine [/] [bold]"'
    (tmp_path / "cells.toml").write_text(f'[[cell]]\n{name}\nmethod = "inject"\nsteps = 2')

    result = cli("--cells", "cells.toml", "--cfg", 1)

    assert result.exit_code == 0, result.output
    assert "mine [/] [bold]" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "folder/none"], "brings no pairs to score it on; give your own with --pairs"),
        (["--pairs", "none.jsonl"], "there is no file none.jsonl"),
        (["--cells", "none.toml"], "there is no file none.toml"),
        (["--cells", "c.toml", "--quick"], "--cells says all that is run; leave out --quick"),
        (["--kinds", "wohle"], "no pair of the kind 'wohle'. Did you mean 'whole'?"),
        (["--methods", "defalut"], "Did you mean 'default'?"),
        (["--strengths", "0,3"], "--strengths 0,3: strength must be a number from 0 to 2"),
        (["--strengths", "1,1"], "1 is there twice"),
        (["--denoise", "0"], "denoise is above 0, up to 1"),
        (["--json", "none/a.json"], "there is no such folder"),
        (["--pairs", "p.jsonl", "--json", "p.jsonl"], "there is no file p.jsonl"),
    ],
)
@pytest.mark.usefixtures("embedded")
def test_what_cannot_be_used_is_said_before_the_model_loads(cli, monkeypatch, arguments, said):
    """One line, exit status 2."""
    monkeypatch.setattr(rh.Editor, "from_pretrained", lambda *_, **__: pytest.fail("loaded"))

    result = cli(*arguments)

    assert result.exit_code == 2
    assert said in result.stderr
