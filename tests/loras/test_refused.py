"""Files that are broken, or made for something else: one sentence, and the model as it was."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch
from lora_layouts import LAYOUTS
from lora_models import as_it_is, factors
from lora_refusals import BENT, BROKEN, DOWN, KEYS, LAYER, bent, entry, of, write
from safetensors.torch import save_file

import refhooks as rh
from refhooks._loras import header, injecting


@pytest.mark.parametrize("case", BENT)
def test_a_file_that_does_not_do_is_refused(model_editor, save, case):
    """In one sentence of bounded length that names the file; the model is as it was, to the bit."""
    tensors, said = BENT[case]
    path = save(tensors)
    before = as_it_is(model_editor.family.transformer)

    with pytest.raises((rh.InputError, rh.ModelError), match=said) as raised:
        model_editor.add_lora(path)

    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 400 + len(str(path))
    assert before == as_it_is(model_editor.family.transformer)
    assert model_editor.loras == ()


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused(model_editor, tmp_path, case):
    """Before a tensor is read; the message names the file."""
    path = tmp_path / "style.safetensors"
    BROKEN[case](path)

    with pytest.raises(rh.InputError) as raised:
        model_editor.add_lora(path)

    assert f"LoRA {path}" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300 + len(str(path))
    assert model_editor.loras == ()


def test_a_file_cut_off_at_any_place_is_refused(model_editor, save):
    """As a download that broke off leaves it."""
    path = save(KEYS)
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(rh.InputError, match="style"):
            model_editor.add_lora(path)


def test_a_file_of_many_gigabytes_that_says_little_is_not_read(model_editor, tmp_path):
    """Its size and its header are enough to refuse it."""
    path = tmp_path / "style.safetensors"
    for size, said in ((2**33, "its tensors take 512 of"), (2**35, "is larger than 16 GiB")):
        write(path, entry(), b"\0" * 512)
        with path.open("r+b") as opened:
            opened.truncate(size)
        with pytest.raises(rh.InputError, match=said):
            model_editor.add_lora(path)


def test_too_many_tensors_are_refused(model_editor, save, monkeypatch):
    """A hostile file may name millions."""
    monkeypatch.setattr(header, "MAX_TENSORS", 1)
    with pytest.raises(rh.InputError, match="holds 2 tensors; expected 1 to 1"):
        model_editor.add_lora(save(KEYS))


@pytest.mark.parametrize(
    ("name", "said"),
    [("no.safetensors", "there is no such file"), ("x.ckpt", "only .safetensors files are read"),
     ("", "is a folder")],
)  # fmt: skip
def test_what_is_no_file_is_refused(model_editor, tmp_path, name, said):
    """Files that can run code are not opened."""
    with pytest.raises(rh.InputError, match=said):
        model_editor.add_lora(tmp_path / name)


@pytest.mark.parametrize("file", [None, 3, {"x": 1}])
def test_what_is_no_path_is_refused(model_editor, file):
    """Such as tensors, which diffusers takes."""
    with pytest.raises(rh.InputError, match="is the path of a"):
        model_editor.add_lora(file)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), "1", True, None])
def test_a_scale_is_a_finite_number(model_editor, save, scale):
    """Below 0 it is one too."""
    with pytest.raises(rh.InputError, match="scale must be a finite number"):
        model_editor.add_lora(save(KEYS), scale)


@pytest.mark.parametrize("name", ["", "a.b", "keys", "training", "a b", 3, "x" * 61])
def test_a_name_that_peft_cannot_take_is_refused(model_editor, save, name):
    """It is a key of torch's modules."""
    with pytest.raises(rh.InputError, match="name must be letters"):
        model_editor.add_lora(save(KEYS), name=name)


def test_a_dora_acts_at_scale_one(model_editor, save):
    """Its magnitude is that of the whole weight; at any other scale, loaders differ."""
    with pytest.raises(rh.InputError, match=r"acts at scale 1.*got 0\.5"):
        model_editor.add_lora(save(bent(dora_scale=torch.ones(32, 1))), 0.5)


def test_without_peft_it_says_what_to_install(model_editor, save, monkeypatch):
    """As the extra of this distribution."""
    original = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "peft" else original(name)
    )
    with pytest.raises(rh.ModelError, match=r'pip install "refhooks\[lora\]"'):
        model_editor.add_lora(save(KEYS))


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("where", ["_fill", "_describe"])
def test_what_fails_halfway_leaves_nothing(model_editor, save, monkeypatch, where, others):
    """Whatever it is: modules, parameters and what learns are as before, and so are others."""
    model, fill = model_editor.family.transformer, injecting._fill
    factored = factors(model)
    names = [model_editor.add_lora(save(KEYS, "first.safetensors"), 0.3) for _ in range(others)]
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    before, states = as_it_is(model), model_editor.loras
    calls = []

    def fail(*arguments):
        calls.append(1)
        if where == "_describe" or len(calls) > 5:
            raise MemoryError("full")
        fill(*arguments)

    monkeypatch.setattr(injecting, where, fail)
    with pytest.raises(MemoryError, match="full"):
        model_editor.add_lora(save(LAYOUTS["bare"].write(factored)))

    assert before == as_it_is(model)
    assert states == model_editor.loras
    for name in names:
        model_editor.remove_lora(name)


def test_a_quantised_layer_takes_a_lora_and_no_other_kind(model_editor, save, monkeypatch):
    """Packed weights have no shape that products of LoKr would fit."""
    model = model_editor.family.transformer
    before = as_it_is(model)
    layer = model.get_submodule(LAYER)
    packed = torch.nn.Parameter(torch.zeros(32, 34, dtype=torch.uint8), requires_grad=False)
    own, layer.weight = layer.weight, packed
    try:
        with pytest.raises(rh.ModelError, match="is a LoKr, which is not applied to quantised"):
            model_editor.add_lora(save(of(lokr_w1=torch.ones(2, 2), lokr_w2=torch.ones(16, 16))))
        name = model_editor.add_lora(save(KEYS))
        assert torch.float32 == model.get_submodule(LAYER).lora_A[name].weight.dtype
        model_editor.remove_lora(name)
    finally:
        layer.weight = own
    assert before == as_it_is(model)


def test_a_changed_file_is_not_taken(model_editor, save):
    """The command checks it before the model is loaded, which takes minutes."""
    from refhooks._loras.adding import add_file

    told = header.read_header(save(KEYS))
    save_file({key: value.clone() + 1 for key, value in KEYS.items()} | {"x": DOWN}, told.path)
    with pytest.raises(rh.InputError, match="has changed while it was read"):
        add_file(model_editor.pipe, model_editor.family.transformer, told)


class Silent:
    """A value that cannot be shown."""

    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize("note", [{"lora_alpha": 10**400}, {"alpha_pattern": {LAYER: -(10**400)}}])
def test_an_alpha_beyond_every_float_is_refused(model_editor, save, note):
    """A whole number of JSON may have any length; of this one there is no float."""
    before = as_it_is(model_editor.family.transformer)
    told = {f"transformer.{key}": value for key, value in note.items()}
    path = save(KEYS, notes={"lora_adapter_metadata": json.dumps(told)})

    with pytest.raises(rh.InputError, match=r"alpha is -?inf; expected a finite number"):
        model_editor.add_lora(path)
    assert before == as_it_is(model_editor.family.transformer)


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), True, "1", None, Silent()])
def test_a_scale_that_is_no_number_is_refused(model_editor, save, value):
    """In a sentence, whatever it is."""
    with pytest.raises(rh.InputError, match="scale must be a finite number, got"):
        model_editor.add_lora(save(KEYS), value)


def test_what_is_no_name_or_path_is_said(model_editor, save):
    """Also of a value that no dictionary takes, and of one that cannot be shown."""
    with pytest.raises(rh.InputError, match="name must be letters"):
        model_editor.add_lora(save(KEYS), name=Silent())
    with pytest.raises(rh.InputError, match="a LoRA is the path of"):
        model_editor.add_lora(Silent())
    with pytest.raises(rh.InputError, match=r"there is no LoRA \['style'\]"):
        model_editor.remove_lora(["style"])
