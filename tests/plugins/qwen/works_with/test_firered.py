"""FireRed-Image-Edit: weights of its own in the classes of Qwen-Image-Edit."""

from __future__ import annotations

import json

import plain
import pytest
import tiny
import torch

import refhooks as rh


@pytest.mark.parametrize(
    ("kind", "family"), [("edit", "qwen-image-edit"), ("plus", "qwen-image-edit-plus")]
)
def test_a_checkpoint_of_its_kind_loads_through_the_family(kind, family, tmp_path):
    """The class in its index decides, whoever made it; the rest of the index is its own."""
    tiny.build(kind, "middle").save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index["_name_or_path"] = "FireRedTeam/FireRed-Image-Edit"
    (tmp_path / "model_index.json").write_text(json.dumps(index))

    editor = rh.Editor.from_pretrained(tmp_path)
    editor.pipe.set_progress_bar_config(disable=True)

    assert editor.family.name == family
    if kind == "plus":
        assert torch.equal(plain.edited(editor.pipe), plain.stock(editor.pipe))
