"""Chains, grids, replays and the page of a plan, on Qwen-Image 2.1."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageChops
from small21 import SIDE, rgb, rgba

import refhooks as rh
from refhooks.cli import main

SIZE = {"height": SIDE, "width": SIDE, "steps": 2, "seed": 1}


def same(one, other):
    """Whether two pictures are equal in every channel."""
    return ImageChops.difference(one, other).getbbox(alpha_only=False) is None


def test_a_chain_hands_on_transparency(small):
    """Each edit is given what the one before made, and the first the picture as it is."""
    source = rgba(1)[0].resize((SIDE, SIDE))
    edits = [rh.Edit("make it blue"), rh.Edit("make it red", reference="both")]

    chained = small.editor.chain(source, edits, **SIZE)

    first = small.editor.edit(source, "make it blue", **SIZE)
    assert same(chained.results[0].image, first.image)
    assert chained.results[1].image.mode == "RGBA"
    assert torch.isfinite(chained.results[1].latents).all()


@pytest.mark.parametrize("pictures", [rgb(2), rgba(2)], ids=["RGB", "RGBA"])
def test_a_replay_makes_the_picture_again(small, tmp_path, pictures):
    """From the recipe in the file, with the pictures inside it, to the bit."""
    strategy = rh.Strategy([rh.Stage("cross_attn", "0.4:1.0")])
    result = small.editor.edit(
        rh.Reference(pictures[0], strategy), "make it blue", references=pictures[1:], **SIZE
    )
    result.save(tmp_path / "out.png", embed=True)

    again = small.editor.replay(tmp_path / "out.png")

    assert torch.equal(result.latents, again.latents)
    assert same(result.image, again.image)


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (rh.Stage("default", "0.4:1.0"), "computes text and references anew where its strength"),
        (rh.Stage("cross_attn", "0.4:1.0"), "what the text saw of it stays"),
    ],
)
def test_a_plan_says_what_is_computed_anew(small, strategy, words):
    """And what is not."""
    timetable = rh.plan([rh.Reference(rgb(1)[0], strategy)], 4, editor=small.editor)

    assert any(words in remark for remark in timetable.remarks)
    plain = rh.plan([rh.Reference(rgb(1)[0], "default")], 4, editor=small.editor)
    assert plain.remarks == ()


def test_advice_is_given_on_transparent_pictures(small):
    """Measures take them as they are seen."""
    source = rgba(1)[0].resize((SIDE, SIDE))

    advice = small.editor.edit(source, "make it blue", **SIZE).advice

    assert str(advice)


def test_the_grid_command_makes_every_cell(small, tmp_path, monkeypatch):
    """Each the edit it says, with its transparency; at 1 both methods are the model's own."""
    monkeypatch.chdir(tmp_path)
    model = rh.EmbeddedModel(
        name="small21", description="random weights", load=lambda: small.pipe,
        checkpoint=rh.Checkpoint(output=SIDE**2, reference=SIDE**2, steps=2),
    )  # fmt: skip
    monkeypatch.setitem(rh.load_registry().models, "small21", model)
    rgba(1)[0].resize((SIDE, SIDE)).save("photo.png")

    arguments = ["grid", "photo.png", "make it blue", "-o", "grid.png", "--model", "small21"]
    arguments += ["--methods", "default,cross_attn", "--strengths", "0,0.5,1", "--seeds", "1"]
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 0, result.output
    cells = list((tmp_path / "grid.cells").iterdir())
    assert len(cells) == 6
    [half] = [path for path in cells if path.name.startswith("cross_attn_0.5_")]
    editor = rh.Editor(small.pipe, checkpoint=model.checkpoint)
    alone = editor.edit(
        "photo.png", "make it blue", strategy=rh.Stage("cross_attn", 0.5), seed=1, steps=2
    )
    with Image.open(half) as picture:
        assert same(picture, alone.image)
    ones = [Image.open(path) for path in cells if "_1_" in path.name]
    assert same(*ones)
