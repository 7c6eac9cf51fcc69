"""The report: edits by refhooks itself, the bars, the card and the contact sheet."""

from __future__ import annotations

import json

import attrs
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

import refhooks as rh
from refhooks.batch import Job, edit_batch
from refhooks.score import Interval
from refhooks_toy import EDIT_KINDS, HELD_OUT, TWO_PICTURES, WEIGHTS, make_pairs, report
from refhooks_toy._card import with_blocks
from refhooks_toy._export import PROJECTION
from refhooks_toy._figures import Bar, Figures, Row
from refhooks_toy._held_out import as_pairs
from refhooks_toy._ship import TRAINING, remember_start, training
from refhooks_toy._survey import Settings, edit, new_editor
from refhooks_toy._vae import single_frame


def interval(mean):
    """Return an interval around a mean."""
    return Interval(mean, mean - 0.1, mean + 0.1, 100)


@pytest.fixture(scope="module")
def folder(untrained, tmp_path_factory):
    """A saved model of random weights."""
    path = tmp_path_factory.mktemp("model")
    untrained.save_pretrained(path)
    return path


@pytest.fixture
def figures():
    """Figures of which some reach their bars."""
    rows = [Row(kind, interval(0.7), kept=interval(0.9)) for kind in EDIT_KINDS]
    mean = Row("mean of the eight", interval(0.7), kept=interval(0.9))
    settings = Settings(100, 16, 2.0)
    return Figures(settings, interval(38.0), interval(0.99), rows, mean, 240.0, 2)


@pytest.fixture
def run(tmp_path):
    """Invoke the report; options and values by turns."""

    def run(*arguments):
        given = [str(argument) for argument in arguments]
        return CliRunner().invoke(report.main, given, catch_exceptions=False)

    return run


@pytest.mark.parametrize("kind", ["color-change", TWO_PICTURES])
@pytest.mark.parametrize("strategy", [None, rh.Stage("default", 0.0)])
def test_a_batch_is_its_single_edits(folder, kind, strategy):
    """To 1e-5 of the latents, with the autoencoder's quicker form and without."""
    editor = new_editor(folder)
    pairs = as_pairs(make_pairs(kind, range(HELD_OUT, HELD_OUT + 3)))
    jobs = [Job(it.source, it.prompt, seed=it.seed, references=it.references) for it in pairs]
    if strategy is not None:
        jobs = [attrs.evolve(job, prompt="make it night", references=()) for job in jobs]
    options = {"strategy": strategy, "steps": 2, "cfg": 2.0}

    with single_frame():
        together = edit_batch(editor, jobs, **options).latents

    alone = [
        editor.edit(
            job.image, job.prompt, references=job.references, seed=job.seed, **options
        ).latents
        for job in jobs
    ]
    assert (together - torch.cat(alone)).abs().max() <= 1e-5


def test_pairs_are_edited_with_their_own_seeds(folder):
    """In their order, as one by one."""
    editor, settings = new_editor(folder), Settings(count=3, steps=1, cfg=1.0)
    pairs = as_pairs(make_pairs("color-change", range(HELD_OUT, HELD_OUT + 3)))

    out = edit(editor, pairs, settings)

    assert out.shape == (3, 64, 64, 3)
    last = editor.edit(pairs[2].source, pairs[2].prompt, seed=2, steps=1, cfg=1.0).image
    assert np.abs(out[2].astype(int) - np.asarray(last)).max() <= 1


def test_the_report_measures_and_prints_every_kind(run, folder, tmp_path):
    """With its bars; figures that are read again are those that were measured."""
    sheet, file = tmp_path / "sheet.png", tmp_path / "toy.json"

    measured = run(
        "--weights", folder, "--count", 2, "--steps", 1, "--sheet", sheet, "--json", file
    )
    read = run("--from", file)

    assert measured.exit_code == 0
    for kind in EDIT_KINDS:
        assert f"\n{kind} " in measured.output
        assert f"edit done, {kind} " in read.output
    assert "autoencoder, PSNR in dB" in measured.output
    assert measured.output.endswith(read.output)
    assert [bar["met"] for bar in json.loads(file.read_text())["bars"]].count(True) < 13
    with Image.open(sheet) as picture:
        assert picture.width > 12 * 2 * 64


def test_a_sheet_needs_results(run, figures, tmp_path):
    """Figures alone hold no pictures."""
    figures.save(tmp_path / "toy.json")

    result = run("--from", tmp_path / "toy.json", "--sheet", tmp_path / "sheet.png")

    assert result.exit_code == 2
    assert "--from does not hold" in result.output


def test_a_bar_is_met_from_its_number_on():
    """By the mean, not by the interval."""
    assert Bar("a", 0.6, interval(0.6)).met
    assert not Bar("a", 0.6, interval(0.59)).met


def test_every_bar_is_there(figures):
    """Nine kinds, two means and the autoencoder; two pictures have a lower one."""
    bars = {bar.name: (bar.wanted, bar.met) for bar in figures.bars}

    assert len(bars) == len(EDIT_KINDS) + 4
    assert bars["edit done, object-swap"] == (0.6, True)
    assert bars[f"edit done, {TWO_PICTURES}"] == (0.5, True)
    assert bars["edit done, mean of the eight"] == (0.8, False)
    assert bars["kept outside, mean of the eight"] == (0.85, True)
    assert bars["autoencoder, PSNR in dB"] == (36.0, True)
    assert bars["autoencoder, SSIM"] == (0.98, True)


def test_figures_read_back_exactly(figures, tmp_path):
    """As they were saved."""
    figures.save(tmp_path / "toy.json")

    assert Figures.read(tmp_path / "toy.json") == figures


def test_the_card_is_written_from_figures(run, figures, folder, tmp_path):
    """Into the blocks of the package's card, twice the same, and nothing else is touched."""
    figures.save(tmp_path / "toy.json")
    card, before = tmp_path / "card.md", (WEIGHTS / "MODEL_CARD.md").read_text()
    card.write_text(before)
    record = {
        "machine": "2 CPU cores, no GPU",
        "pairs": 40_960,
        "vae": {"steps": 4700, "minutes": 29.1},
        "transformer": {"steps": 14_500, "minutes": 240.0},
        "before": {"pairs": 9_000, "transformer": {"steps": 500, "minutes": 8.0}},
    }
    (folder / TRAINING).write_text(json.dumps(record))

    run("--from", tmp_path / "toy.json", "--weights", folder, "--card", card)
    text = card.read_text()
    run("--from", tmp_path / "toy.json", "--weights", folder, "--card", card)

    assert text == card.read_text()
    assert "| color-change | 0.700 [0.600, 0.800] | 0.900 [0.800, 1.000] | – |" in text
    assert "| edit done, mean of the eight | 0.8 | 0.700 [0.600, 0.800] | missed |" in text
    assert "Missed: edit done, mean of the eight." in text
    assert "2 CPU cores, no GPU: 29 minutes (4,700 steps) for the autoencoder," in text
    assert "8 minutes (500 steps) on 9,000 edits; then 240 minutes (14,500 steps)" in text
    assert "transformer: 2 blocks, 2 heads of 32" in text
    assert text.startswith(before[: before.index("| part")])
    assert text.endswith(before[before.index("## What it cannot do") :])


def test_the_parts_in_the_card_are_those_of_the_weights(figures):
    """The package's own card names what its weights are."""
    before = (WEIGHTS / "MODEL_CARD.md").read_text()

    after = with_blocks(before, figures, new_editor(None).pipe, WEIGHTS)

    head = before[: before.index("<!-- end -->")]
    assert after.startswith(head)


def test_shipping_records_the_training(tmp_path):
    """Steps that the export names, minutes of the log at that step, and how many edits."""
    export = tmp_path / "export"
    export.mkdir()
    save_file({"projection.weight": torch.zeros(1)}, export / PROJECTION, {"note": "step 250"})
    save_file({"kind": torch.zeros(48)}, tmp_path / "pool.safetensors")
    (tmp_path / "transformer.csv").write_text("100,1.5,0.1\n200,3.0,0.1\n300,4.5,0.1\n")
    (tmp_path / "vae.csv").write_text("100,2.5,0.1\n")

    record = training(export)

    assert record["pairs"] == 48
    assert record["transformer"] == {"steps": 250, "minutes": 3.0}
    assert record["vae"] == {"steps": 100, "minutes": 2.5}
    assert record["before"] is None
    assert "CPU cores" in record["machine"]


def test_shipping_records_what_a_run_began_with(tmp_path):
    """A run that began with other weights carries their record, and their autoencoder's."""
    export, first = tmp_path / "export", tmp_path / "first"
    export.mkdir()
    first.mkdir()
    record = {"vae": {"steps": 7, "minutes": 1.0}, "transformer": {"steps": 5, "minutes": 2.0}}
    (first / TRAINING).write_text(json.dumps(record))
    save_file({"projection.weight": torch.zeros(1)}, export / PROJECTION, {"note": "step 250"})
    save_file({"kind": torch.zeros(48)}, tmp_path / "pool.safetensors")

    remember_start(tmp_path, first)

    assert training(export)["before"] == record
    assert training(export)["vae"] == record["vae"]
