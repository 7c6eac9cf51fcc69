"""Guidance over the steps: how it is written, what runs, and what it is refused for."""

from __future__ import annotations

import math

import pytest
import torch
from families_table import ROWS, shrink

import refhooks as rh
from refhooks import testing
from refhooks._base.scales import read_scales, scales_over
from refhooks._core.planning.bounds import MAX_CFG
from refhooks._flow.run import FlowRun

TRUE = [
    name for name, row in ROWS.items()
    if row.cfg is not None and row.negative is not None and row.load is None
]  # fmt: skip


@pytest.fixture
def editor(monkeypatch):
    """On a small model with true guidance."""
    shrink(monkeypatch, ROWS["qwen-image-edit-plus"])
    return ROWS["qwen-image-edit-plus"].editor()


def edit(editor, cfg, **options):
    """Edit a random picture in four steps."""
    call = {"steps": 4, "seed": 1, "height": 32, "width": 32, "cfg": cfg, **options}
    return editor.edit(testing.picture(0, (48, 32)), "make it blue", **call)


class Passes:
    """Notes the passes of each step."""

    def __init__(self):
        self.seen = []

    @rh.hookimpl
    def refhooks_branches(self, branches):
        self.seen.append([branch.name for branch in branches])


@pytest.mark.parametrize(
    ("written", "steps", "scales"),
    [
        (4, 2, [4, 4]),
        ("0.5@4", 4, [1, 1, 4, 4]),
        ("0@4,0.5@1", 4, [4, 4, 1, 1]),
        ("0.25@4, 0.75@1", 8, [1, 1, 4, 4, 4, 4, 1, 1]),
        ("1:4", 4, [1, 2, 3, 4]),
        ("1:4", 1, [1]),
        ("1,1,4", 3, [1, 1, 4]),
        ([1, 2.5], 2, [1, 2.5]),
        (torch.tensor([1.0, 3.0]), 2, [1, 3]),
    ],
)  # fmt: skip
def test_what_is_written_is_what_is_meant(written, steps, scales):
    """Places are progress of the run, and hold until the next; before the first it is off."""
    assert list(scales_over(read_scales(written, MAX_CFG), steps)) == scales


@pytest.mark.parametrize(
    "wrong",
    ["high", "4", "", "@4", "0.5@", "0.5@4,3", "0.5@4,0.2@3", "1@4", "-0.1@4", "0.5@101", "1:2:3",
     "1:2,3", "1:200", "nan", "nan@4", "0.5@nan", [1, True], [1, -1], -1, 101,
     True, math.inf, "1,,2"],
)  # fmt: skip
def test_what_is_no_guidance_is_refused(editor, wrong):
    """Before anything is encoded, with the forms."""
    editor.family.encode_texts = None  # whatever is called fails
    with pytest.raises(rh.InputError, match=r"cfg must be a number from 0 to 100"):
        edit(editor, wrong)


def test_a_list_of_another_length_is_refused(editor):
    """It names both."""
    with pytest.raises(rh.InputError, match="cfg lists 3 scales, but the run has 4 steps"):
        edit(editor, [1, 4, 4])


def test_where_it_is_off_the_negative_pass_is_not_run(editor):
    """The passes of each step, and the remark that says so."""
    passes = Passes()
    result = edit(editor, "0.5@4", plugins=[passes], negative_prompt="red")

    assert passes.seen == [["cond"], ["cond"], ["cond", "uncond"], ["cond", "uncond"]]
    assert "guidance off at steps 1-2, 4 at steps 3-4: 6 of 8 passes" in str(result.timetable)


@pytest.mark.parametrize("name", TRUE)
def test_steps_are_those_of_a_run_of_that_scale(name, monkeypatch):
    """On every family with true guidance: a scale at all steps is that number, to the bit."""
    row = ROWS[name]
    shrink(monkeypatch, row)
    editor, pictures = row.editor(), row.pictures(1)
    asked, own = [], FlowRun.use_scale
    monkeypatch.setattr(
        FlowRun, "use_scale", lambda self, scale: asked.append(scale) or own(self, scale)
    )

    def latents(cfg):
        call = {"steps": 2, "seed": 1, "height": row.side, "width": row.side, "cfg": cfg}
        return editor.edit(pictures[0], "make it blue", **call).latents

    off, on, late = latents(1.0), latents(3.0), latents("0.5@3")

    assert torch.equal(on, latents("3,3"))
    assert torch.equal(off, latents("0@1"))
    assert asked == [1.0, 3.0]
    assert not torch.equal(late, on)
    assert not torch.equal(late, off)


@pytest.mark.parametrize("cfg", ["0.5@4", [1, 1, 4, 2], "1:4"])
def test_a_recipe_holds_it_and_replays_to_the_bit(editor, tmp_path, cfg):
    """From the file alone; with another number the one that is set."""
    source = testing.picture(0, (48, 32))
    source.save(tmp_path / "photo.png")
    options = {"steps": 4, "seed": 1, "height": 32, "width": 32, "cfg": cfg}
    result = editor.edit(tmp_path / "photo.png", "make it blue", **options)
    made = tmp_path / "made.png"
    result.save(made)

    replayed = editor.replay(made)

    assert torch.equal(replayed.latents, result.latents)
    assert rh.load_recipe(made).cfg == 4
    full = editor.edit(tmp_path / "photo.png", "make it blue", **{**options, "cfg": 4.0})
    assert torch.equal(editor.replay(made, cfg=4.0).latents, full.latents)


def test_a_model_without_true_guidance_refuses_it(monkeypatch):
    """Its scale is one number, or there is none, so nothing would be saved."""
    for name in ("flux2-dev", "flux2-klein, distilled"):
        row = ROWS[name]
        shrink(monkeypatch, row)
        editor = row.editor()
        row_edit = {"steps": 2, "seed": 1, "height": 64, "width": 64, "cfg": "0.5@4"}
        with pytest.raises(rh.InputError, match="differs over the steps"):
            editor.edit(row.pictures(1)[0], "make it blue", **row_edit)


def test_reuse_and_guidance_that_begins_late(editor):
    """The negative pass begins at a step that reuses; it stores its own keys then."""
    way = rh.Stage(rh.method("cross_attn", reuse="once"), 0.7)

    latents = edit(editor, "0.5@4", strategy=way).latents

    assert torch.isfinite(latents).all()


def test_cost_counts_the_passes():
    """Half of the negative passes are a quarter of all."""
    full, late = (rh.cost("default", steps=8, cfg=cfg) for cfg in (4.0, "0.5@4"))

    assert late.flops / full.flops == pytest.approx(0.75)
    assert late.over_native == pytest.approx(0.75)
    with pytest.raises(rh.InputError, match="cfg lists 2 scales"):
        rh.cost("default", steps=8, cfg=[1, 4])


def test_chains_and_grids_take_it(editor, tmp_path):
    """An edit of a chain, and a field of a grid."""
    photo = tmp_path / "photo.png"
    testing.picture(0, (48, 32)).save(photo)
    size = {"steps": 2, "height": 32, "width": 32}
    edits = [rh.Edit("make it blue", cfg="0.5@4"), rh.Edit("red")]

    chain = editor.chain(photo, edits, cfg=2.0, seed=1, **size)
    alone = editor.edit(photo, "make it blue", cfg="0.5@4", seed=1, **size)
    rows = {"cfg": [1, "0.5@4"]}
    grid = editor.grid(photo, "make it blue", rows=rows, columns={"seed": [1]}, **size)

    assert torch.equal(chain.results[0].latents, alone.latents)
    assert grid.images[1][0].tobytes() == alone.image.tobytes()
    with pytest.raises(rh.StrategyError, match="an edit's cfg must be a number"):
        rh.Edit("x", cfg="late")
