"""The tables of speed are those of the result files; the scripts run at a tiny size."""

from __future__ import annotations

import json
import runpy
import sys

import attrs
import local
import pytest
from places import BENCHMARKS, DOCS

import refhooks as rh
from refhooks._apps.forecast.cost import default_shape

SMALL = ["--blocks", "1", "--side", "4", "--text", "8", "--heads", "2", "--head", "16"]


def test_the_tables_are_up_to_date():
    """`python docs/write_speed_tables.py` would change nothing."""
    script = runpy.run_path(str(DOCS / "write_speed_tables.py"))
    text = (DOCS / "speed.md").read_text(encoding="utf-8")

    assert script["with_tables"](text) == text
    assert script["local_page"]() == (DOCS / "local-tables.md").read_text(encoding="utf-8")
    assert script["tables_page"]() == (DOCS / "speed-tables.md").read_text(encoding="utf-8")


def test_the_cost_of_local_edits_is_predicted_within_a_tenth():
    """In each cell, at the most tokens that were measured."""
    shape = default_shape(rh.load_registry())
    found = {}
    for name in ("local", "local-5", "local-main"):
        result = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text("utf-8"))
        side, text = result["scale"]["side"], result["scale"]["text"]
        sized = attrs.evolve(shape, target=side**2, reference=side**2, text=text, passes=1)
        for cell in result["cells"]:
            found[cell["share"], cell["references"]] = cell, side, sized
    assert len(found) == 12
    for (share, references), (cell, side, sized) in found.items():
        for label, reuse, steps in (("all references", 1, 1), ("reuse 7", 7, 28)):
            cost = rh.cost(
                [rh.Reference("", "default")] * references, steps, shape=sized, cfg=1.0,
                height=16 * side, width=16 * side, edit_mask=local.box(share, side),
                compute=rh.Inside(reuse=reuse),
            )  # fmt: skip
            predicted = 1 / cost.over_native
            assert predicted == pytest.approx(cell[label]["limit"])
            assert cell[label]["times as fast"] == pytest.approx(predicted, rel=0.1), label


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tokens", [*SMALL, "--references", "1"]),
        ("attention", ["--tokens", "8", "--width", "16", "--heads", "16", "--references", "1,2"]),
        ("scaling", [*SMALL, "--curves", "batch", "--batches", "1,2"]),
        ("gpu", ["--small", "--eager-only", "--references", "1", "--case", "inject"]),
    ],
)
def test_a_benchmark_runs_and_its_table_is_made(name, options, tmp_path, monkeypatch, capsys):
    """Its result file is what the page's table is made of."""
    result = tmp_path / f"{name}.json"
    script = BENCHMARKS / f"{name}.py"
    monkeypatch.setattr(
        sys, "argv", [str(script), *options, "--repeats", "1", "--json", str(result)]
    )

    runpy.run_path(str(script), run_name="__main__")

    table = runpy.run_path(str(DOCS / "write_speed_tables.py"))["TABLES"][name]
    made = table(json.loads(result.read_text()))
    assert made.count("\n") > 3
    assert capsys.readouterr().out


def test_what_a_gpu_run_has_measured_is_not_measured_again(tmp_path):
    """The same command goes on where it ended."""
    import gpu

    place = tmp_path / "gpu.json"
    rows = {f"{name}, 1, eager": {"kept": name} for name in gpu.strategies()}
    place.write_text(json.dumps({"rows": rows, "matmul TFLOP/s": 1.0, "torch": "0"}))

    gpu.main(["--small", "--eager-only", "--references", "1", "--json", str(place)])

    assert json.loads(place.read_text())["rows"] == rows


def test_a_gpu_run_needs_one(capsys):
    """And says what can be run without."""
    import gpu
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit):
        gpu.main([])

    assert "--small runs a tiny model on the CPU" in capsys.readouterr().err
