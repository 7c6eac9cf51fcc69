"""What `benchmarks/comfyui.py` does without a checkout of ComfyUI, and the table of its figures."""

from __future__ import annotations

import json
import runpy

import comfyui
import pytest
import torch
from places import BENCHMARKS, DOCS


def test_the_table_is_up_to_date():
    """`python docs/write_comfyui_table.py` would change nothing."""
    script = runpy.run_path(str(DOCS / "write_comfyui_table.py"))
    text = (DOCS / "coming-from.md").read_text(encoding="utf-8")

    assert script["with_table"](text) == text


def test_each_cell_was_measured_and_is_as_near_as_promised():
    """Methods, grids and numbers of references."""
    found = json.loads((BENCHMARKS / "results" / "comfyui.json").read_text(encoding="utf-8"))
    rows = found["rows"]

    assert [
        (row["method"], row["target"], row["references"], row["count"]) for row in rows
    ] == list(comfyui.cells())
    assert max(row["like ComfyUI"] for row in rows) <= comfyui.WANTED
    assert all(row["rms"] > 0.1 for row in rows)


def test_tokens_are_laid_out_as_a_picture_and_back():
    """As the pipeline packs them: four latents of a token, one after the other."""
    latents = torch.arange(2 * 4 * 6.0).reshape(1, 2, 1, 4, 6)
    tokens = comfyui._packed(latents, (2, 3))

    assert tokens[0, 0].tolist() == [0, 1, 6, 7, 24, 25, 30, 31]
    assert torch.equal(comfyui._spread(tokens, (2, 3)), latents)


def test_another_folder_is_told(tmp_path, monkeypatch):
    """In one sentence."""
    monkeypatch.setattr("sys.argv", ["comfyui.py", str(tmp_path)])

    with pytest.raises(SystemExit, match="is no checkout of ComfyUI"):
        comfyui.main()
