"""Concat is a widened input projection, to the bit nothing at 0, and refuses what does not fit."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
from joining import (
    CHANNELS,
    SIZES,
    STRENGTHS,
    TO_Q,
    WIDTH,
    Silent,
    lora,
    random,
    widened,
    with_strategies,
)  # fmt: skip

import refhooks as rh

PROJECTION = random(WIDTH, CHANNELS)


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_is_a_widened_input_projection(editor, edit, write, count, cfg):
    """For one to three references, each with its strength."""
    method = rh.method("concat", projection=write())
    picture, steering = with_strategies([rh.Stage(method, s) for s in STRENGTHS[:count]])

    ours = edit(picture, cfg=cfg, **steering).latents

    theirs = widened(editor, PROJECTION, count, cfg=cfg)
    assert (ours - theirs).abs().max() <= 1e-5


def test_it_is_a_widened_input_projection_in_bfloat16(write):
    """Up to rounding: far nearer than what the reference changes."""
    pipe = tiny.build("plus", "middle", dtype=torch.bfloat16)
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(**SIZES))
    stage = rh.Stage(rh.method("concat", projection=write()), STRENGTHS[0])
    picture, _ = with_strategies([stage])
    arguments = {"steps": 3, "seed": 1, "cfg": 2.0}
    ours = editor.edit(picture, "make it blue", strategy=stage, **arguments).latents
    nothing = editor.edit(picture, "make it blue", strategy=rh.Stage(Silent()), **arguments).latents

    theirs = widened(editor, PROJECTION.bfloat16(), 1)

    assert ours.dtype == torch.bfloat16
    error = (ours - theirs).float().square().mean().sqrt()
    assert error < 0.05 * (theirs - nothing).float().square().mean().sqrt()


def test_a_batch_gets_the_reference_in_every_row(edit, write):
    """Two pictures at once are the two pictures."""
    stage = rh.Stage(rh.method("concat", projection=write()), 0.8)

    both = edit(strategy=stage, n=2).latents

    for seed, row in zip((1, 2), both, strict=True):
        assert (edit(strategy=stage, seed=seed).latents[0] - row).abs().max() <= 1e-5


def test_tied_takes_the_models_own_projection(editor, edit):
    """P = W, without W's bias."""
    stage = rh.Stage(rh.method("concat", tied=True), STRENGTHS[0])
    picture, steering = with_strategies([stage])

    ours = edit(picture, **steering).latents

    theirs = widened(editor, editor.pipe.transformer.img_in.weight, 1)
    assert (ours - theirs).abs().max() <= 1e-5


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_the_picture_is_fitted_to_the_output(edit, write, fit):
    """Each fit gives a result of its own, for a picture of another shape."""
    projection = write()
    wide = tiny.picture(0, (96, 32))

    def run(fit):
        method = rh.method("concat", projection=projection, fit=fit)
        return edit(wide, strategy=method, height=32, width=32).latents

    others = {"cover", "contain", "stretch"} - {fit}
    assert not any(torch.equal(run(fit), run(other)) for other in others)


def test_0_is_no_reference_to_the_bit(edit, write):
    """With a file, too."""
    stage = rh.Stage(rh.method("concat", projection=write()), 0.0)

    runs = [edit(tiny.picture(seed), strategy=stage).latents for seed in (0, 1)]

    assert torch.equal(*runs)


def test_the_model_gets_no_tokens_and_methods_may_follow_each_other(edit, write):
    """It acts for half of the run, then inject; nothing of concat is left there."""
    rows = []

    class Last:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, ctx, inputs):
            rows.append((ctx.rows[0].method, inputs.added is None, inputs.slots))

    method = rh.method("concat", projection=write(tensors=lora()))
    strategy = rh.Strategy([rh.Stage(method, "0.5:1", until=0.5), rh.Stage("inject")])

    result = edit(strategy=strategy, plugins=[Last()], steps=4, cfg=1.0)

    expected = [("concat", False, (None,))] * 2 + [("inject", True, (None,))] * 2
    assert expected == rows
    strengths = [planned.rows[0].strength for planned in result.timetable.steps]
    assert strengths == [0.5, 1.0, 1.0, 1.0]


NAN = torch.full((WIDTH, CHANNELS), torch.nan)
KEY = f"transformer.{TO_Q}"
FILES = {
    "shape": (
        {"tensors": {"projection.weight": random(WIDTH, 8)},
         "projection": json.dumps({"shape": [WIDTH, 8]})},
        r"has the shape \[32, 8\]; the model needs \[32, 16\]",
    ),
    "family": ({"family": "flux"}, "is for the family flux, the model is qwen-image-edit-plus"),
    "base": ({"base": "other/model"}, "was trained on other/model, the model is tiny"),
    "nan": ({"tensors": {"projection.weight": NAN}}, "projection.weight holds NaN or infinity"),
    "infinite": ({"tensors": {"projection.weight": 1 / torch.zeros(WIDTH, CHANNELS)}}, "infinity"),
    "no header": ({"family": None}, "its header does not name family"),
    "no base": ({"base": None}, "its header does not name base"),
    "no shape": ({"projection": None}, "its header does not name projection"),
    "other shape": ({"projection": '{"shape": [1, 2]}'}, r"has the shape \[32, 16\], its header"),
    "no json": ({"projection": "{"}, "is no JSON"),
    "deep json": ({"projection": "[" * 9000 + "]" * 900}, "is no JSON"),
    "list": ({"projection": "[32, 16]"}, "its header says"),
    "no projection": ({"tensors": {"projection.weight": None, "other": NAN}}, "is no projection"),
    "stranger": ({"tensors": {"other": NAN}}, "holds other, which is neither"),
    "integers": (
        {"tensors": {"projection.weight": torch.ones(WIDTH, CHANNELS).long()}}, "is I64",
    ),
    "half a lora": ({"tensors": lora(**{f"{KEY}.lora_B.weight": None})}, "needs lora_A"),
    "ranks": ({"tensors": lora(**{f"{KEY}.lora_B.weight": NAN})}, "needs lora_A"),
    "alpha": ({"tensors": lora(**{f"{KEY}.alpha": torch.ones(2)})}, "needs one number alpha"),
    "nan in lora": (
        {"tensors": lora(**{f"{KEY}.lora_B.weight": NAN[:, :4].contiguous()})}, "lora_B.weight",
    ),
    "unknown layer": ({"tensors": lora(layer="blocks.0.to_q")}, "no layer 'blocks.0.to_q'"),
    "no linear layer": ({"tensors": lora(layer="txt_norm")}, "is no linear layer but a RMSNorm"),
    "lora's shape": (
        {"tensors": lora(sizes=(8, WIDTH))}, "to_q is 8 to 32; the model's is 32 to 32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_does_not_fit_is_refused(edit, write, kind):
    """With a sentence that names the file, and what is wrong with it."""
    given, words = FILES[kind]
    path = write(**given)

    with pytest.raises(rh.InputError, match=words) as caught:
        edit(strategy=rh.method("concat", projection=path))

    assert str(path) in str(caught.value)


def test_what_is_no_safetensors_file_is_refused(edit, tmp_path):
    """Missing, a directory, or something else."""
    pickle = tmp_path / "p.safetensors"
    pickle.write_bytes(b"\x80\x04K\x01.")
    cases = {
        tmp_path / "none.safetensors": "there is no such file",
        tmp_path: "is a directory",
        pickle: "is not a safetensors file",
    }

    for path, words in cases.items():
        with pytest.raises(rh.InputError, match=words):
            edit(strategy=rh.method("concat", projection=str(path)))


def test_caps(edit, write, monkeypatch):
    """On bytes and on the number of tensors."""
    from refhooks_concat import _projection

    method = rh.method("concat", projection=write(tensors=lora()))
    with monkeypatch.context() as patch:
        patch.setattr(_projection, "MAX_TENSORS", 2)
        with pytest.raises(rh.InputError, match="holds 3 tensors; at most 2 are read"):
            edit(strategy=method)
    monkeypatch.setattr(_projection, "MAX_BYTES", 100)
    with pytest.raises(rh.InputError, match="is larger than"):
        edit(strategy=method)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"projection": ""}, "projection"),
        ({"projection": 3}, "projection"),
        ({"tied": 1}, "tied"),
        ({"tied": True, "projection": "p"}, "no projection goes with it"),
        ({"fit": "crop"}, "fit"),
    ],
)
def test_options_are_checked(options, words):
    """When the description is made."""
    with pytest.raises(rh.InputError, match=words):
        rh.method("concat", **options)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_without_a_projection_it_says_how_to_make_one(editor, edit, monkeypatch, strength):
    """Before anything is encoded, also at 0."""
    monkeypatch.setattr(type(editor.family), "open", None)

    with pytest.raises(rh.InputError) as caught:
        edit(strategy=rh.Stage("concat", strength))

    for words in (
        "needs a projection for tiny", "refhooks train-concat MODEL PAIRS_DIR",
        "projection=FILE", "tied=true",
    ):  # fmt: skip
        assert words in str(caught.value)


def test_a_plan_says_so_too(editor, write):
    """With a model as an error, without one as a warning; a named file is looked at."""
    with pytest.raises(rh.InputError, match="concat needs a projection for tiny"):
        rh.plan("concat", 3, editor=editor)
    with pytest.warns(rh.RefhooksWarning, match="concat needs a projection, and none is named"):
        rh.plan("concat", 3)
    rh.plan(rh.method("concat", tied=True), 3)
    rh.plan(rh.method("concat", projection=write()), 3, editor=editor)
    with pytest.raises(rh.InputError, match="there is no such file"):
        rh.plan(rh.method("concat", projection="none.safetensors"), 3)


def test_a_family_without_an_input_projection_refuses(editor, edit, monkeypatch):
    """Nothing is dropped silently."""
    monkeypatch.setattr(type(editor.family), "input_projection", None)

    with pytest.raises(rh.InputError, match="has no input projection that anything can join"):
        edit(strategy=rh.method("concat", tied=True))


def test_the_base_of_a_repository_is_its_name(pipe, monkeypatch, tmp_path):
    """A folder has none, and what the checkpoint says goes first."""
    monkeypatch.setattr(type(pipe), "name_or_path", "Qwen/Qwen-Image-Edit-2511")
    assert rh.Editor(pipe).model.base == "Qwen/Qwen-Image-Edit-2511"
    assert rh.Editor(pipe, checkpoint=rh.Checkpoint(base="mine")).model.base == "mine"
    for folder in (str(tmp_path), "./folder", "/folder", None):
        monkeypatch.setattr(type(pipe), "name_or_path", folder)
        assert rh.Editor(pipe).model.base is None


def test_a_strategy_file_names_a_projection(edit, write, tmp_path):
    """There and back."""
    strategy = rh.Strategy([rh.Stage(rh.method("concat", projection=write(), fit="contain"), 0.7)])

    written = rh.dump_strategy(strategy, tmp_path / "s.toml")

    assert strategy == rh.load_strategy(written)
    assert torch.isfinite(edit(strategy=rh.load_strategy(written)).latents).all()


def test_masks_confine_what_is_added(edit, write):
    """Exactly nothing outside of a region, and the whole of it inside."""
    seen = {}

    def run(name, masks):
        class Last:
            @rh.hookimpl(trylast=True)
            def refhooks_conditioning(self, inputs):
                seen[name] = inputs.added[0].unflatten(0, (4, 4))  # [rows,columns,width]

        stage = rh.Stage(rh.method("concat", projection=write()), 0.7)
        strategy = rh.Strategy([stage], masks=masks)
        edit(tiny.picture(0, (32, 32)), strategy=strategy, plugins=[Last()], cfg=1.0)

    run("whole", [])
    run("left", [rh.mask("0%,0%,50%,100%")])

    assert not seen["left"][:, 2:].any()
    assert torch.equal(seen["whole"][:, :2], seen["left"][:, :2])
