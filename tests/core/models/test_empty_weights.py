"""Opened without weights, a checkpoint plans as it would loaded, and does not edit."""

from __future__ import annotations

import sys

import pytest
import tiny
import torch

import refhooks as rh
from refhooks._parts.empty_weights import weightless_modules

SIZE = {"height": 48, "width": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bf16 checkpoint."""
    place = tmp_path_factory.mktemp("checkpoint")
    tiny.build("plus", "middle", dtype=torch.bfloat16).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def loaded(folder):
    """With its weights."""
    return rh.Editor.from_pretrained(folder)


@pytest.fixture(scope="module")
def bare(folder, tmp_path_factory):
    """Of the same checkpoint, whose weights are not there."""
    place = tmp_path_factory.mktemp("bare") / "checkpoint"
    place.symlink_to(folder)
    for weights in [*folder.rglob("*.safetensors")]:
        weights.rename(weights.with_suffix(".away"))
    editor = rh.Editor.from_pretrained(place, weights=False)
    for weights in [*folder.rglob("*.away")]:
        weights.rename(weights.with_suffix(".safetensors"))
    return editor


STRATEGIES = {
    "switched": rh.Strategy([rh.Stage("default", until=0.5), rh.Stage("inject", 0.4)]),
    "by noise level": rh.Strategy([
        rh.Stage("cross_attn", 0.7, until=rh.switch("sigma", below=0.6)),
        rh.Stage("inject", 0.5),
    ]),
    "reused": rh.Stage(rh.method("cross_attn", reuse="every 2"), 0.8),
}  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
@pytest.mark.parametrize("pictures", [False, True], ids=["a strategy", "references"])
def test_plans_and_costs_are_those_of_the_loaded_model(loaded, bare, strategy, pictures):
    """With pictures and without."""
    picture = tiny.picture(0, (64, 48))
    what = [rh.Reference(picture, strategy)] * 2 if pictures else strategy

    for foretell in (rh.plan, rh.cost):
        expected, found = (foretell(what, 6, editor=editor, **SIZE) for editor in (loaded, bare))
        assert found.as_dict() == expected.as_dict()


def test_weights_have_shapes_and_dtypes_and_take_no_memory(loaded, bare):
    """Those of every part."""
    for part in ("transformer", "text_encoder", "vae"):
        weights, none = (getattr(it.pipe, part).state_dict() for it in (loaded, bare))
        assert {key: (value.shape, value.dtype) for key, value in none.items()} == {
            key: (value.shape, value.dtype) for key, value in weights.items()
        }
        assert all(value.untyped_storage().nbytes() <= 8 for value in none.values())


def test_it_edits_nothing(bare):
    """Before the first step, and says why."""
    with pytest.raises(rh.InputError, match=r"opened without its weights.*leave weights=False out"):
        bare.edit(tiny.picture(), "make it blue", steps=2, **SIZE)


def test_what_the_model_cannot_do_is_refused(bare):
    """As when it is loaded."""
    four = [rh.Reference(tiny.picture(seed), "default") for seed in range(4)]

    with pytest.raises(rh.InputError, match="takes at most 3 references"):
        rh.plan(four, 4, editor=bare)


def test_an_embedded_model_is_loaded(monkeypatch):
    """It is small, and has no configuration elsewhere."""
    pipe = tiny.build("plus", "middle")
    model = rh.EmbeddedModel("small", "random weights", lambda: pipe)
    monkeypatch.setitem(rh.load_registry().models, "small", model)

    assert rh.Editor.from_pretrained("small", weights=False).pipe is pipe


def test_what_an_index_names_is_not_imported(folder, tmp_path, monkeypatch):
    """Only diffusers and transformers are asked for classes."""
    (tmp_path / "evil.py").write_text("class Model: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    index = {"vae": ["evil", "Model"], "other": ["diffusers", "no such class"], "_x": "y"}

    assert weightless_modules(str(folder), index, torch.float32, {}) == {}
    assert "evil" not in sys.modules


def test_what_would_not_be_used_is_refused(folder):
    """A misspelt revision would plan another model."""
    with pytest.raises(rh.ModelError, match="without weights a model takes no revison"):
        rh.Editor.from_pretrained(folder, weights=False, revison="v2")


@pytest.mark.parametrize("change", ["cast", "compiled"])
def test_it_edits_nothing_whatever_is_done_to_it(folder, change):
    """Cast, its weights look like any others."""
    editor = rh.Editor.from_pretrained(folder, weights=False)
    if change == "cast":
        editor.pipe.to(torch.float32)
    else:
        editor.pipe.transformer = torch.compile(editor.pipe.transformer, backend="eager")

    with pytest.raises(rh.InputError, match="opened without its weights"):
        editor.edit(tiny.picture(), "make it blue", steps=2, **SIZE)
