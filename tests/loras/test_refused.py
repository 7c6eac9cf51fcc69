"""Files that are broken, or made for something else: one sentence, and the model as it was."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch
from lora_layouts import LAYOUTS
from lora_models import as_it_is, factors
from safetensors.torch import save_file

import refhooks as rh
from refhooks._loras import header, injecting

LAYER = "transformer_blocks.0.attn.to_q"
DOWN, UP = torch.ones(4, 32), torch.ones(32, 4)
KEYS = {f"{LAYER}.lora_A.weight": DOWN, f"{LAYER}.lora_B.weight": UP}


def bent(**changes):
    """Return the file's tensors with others in their place; ``None`` takes one away."""
    tensors = {**KEYS, **{f"{LAYER}.{key}": value for key, value in changes.items()}}
    return {key: value for key, value in tensors.items() if value is not None}


def of(**parts):
    """Return the tensors of a layer alone; two underscores stand for a dot."""
    return {f"{LAYER}.{part.replace('__', '.')}": value for part, value in parts.items()}


NAN = torch.full((4, 32), float("nan"))
WAN = {
    f"lora_unet_blocks_{block}_{part}.lora_{half}.weight": torch.zeros(4, 4)
    for block in range(40)
    for part in ("self_attn_q", "self_attn_k", "ffn_0")
    for half in ("down", "up")
}
BENT = {
    "no lora": ({"x": DOWN}, "none of its 1 tensors is named as a LoRA's"),
    "a checkpoint": ({f"{LAYER}.weight": DOWN}, "none of its 1 tensors"),
    "another model": (WAN, "does not fit: 0 of its 120 layers have a place in QwenImage"),
    "more blocks": (
        {key.replace(".0.", f".{n}."): value for n in range(1, 9) for key, value in KEYS.items()},
        "1 of its 8 layers have a place",
    ),
    "another width": (
        {f"{LAYER}.lora_A.weight": torch.ones(4, 64), f"{LAYER}.lora_B.weight": torch.ones(64, 4)},
        "is for a layer of 64 to 64, the model's transformer_blocks.0.attn.to_q is 32 to 32",
    ),
    "half": ({f"{LAYER}.lora_A.weight": DOWN}, r"has no lora_B \(lora_up\), which is half of it"),
    "other half": ({f"{LAYER}.lora_B.weight": UP}, r"has no lora_A \(lora_down\), which is half"),
    "ranks": ({**KEYS, f"{LAYER}.lora_B.weight": torch.ones(32, 8)}, "its ranks differ: 4 in"),
    "rank 0": (
        of(lora_A__weight=torch.ones(0, 32), lora_B__weight=torch.ones(32, 0)), "have the shapes",
    ),
    "vectors": (of(lora_A__weight=torch.ones(4), lora_B__weight=torch.ones(4)), "the shapes"),
    "nan": ({**KEYS, f"{LAYER}.lora_A.weight": NAN}, r"lora_A\.weight holds NaN or infinity"),
    "infinity": (
        {**KEYS, f"{LAYER}.lora_B.weight": torch.full((32, 4), float("inf"))}, "holds NaN or inf",
    ),
    "integers": ({**KEYS, f"{LAYER}.lora_A.weight": DOWN.to(torch.int8)}, "is I8; expected floats"),
    "alpha 0": (bent(alpha=torch.tensor(0.0)), "alpha is 0; expected a finite number that is not"),
    "alpha nan": (bent(alpha=torch.tensor(float("nan"))), "alpha is nan"),
    "alphas": (bent(alpha=torch.ones(2)), "alpha must be one number"),
    "alpha alone": (of(alpha=torch.ones(1)), "has alpha and no weights"),
    "twice": (
        {**KEYS, **{f"diffusion_model.{key}": value for key, value in KEYS.items()}},
        "are one layer",
    ),
    "bias": (bent(**{"lora_B.bias": torch.ones(7)}), r"bias has the shape \[7\]"),
    "dora over inputs": (bent(dora_scale=torch.ones(1, 32)), "is a DoRA over inputs"),
    "dora of another": (bent(dora_scale=torch.ones(7, 1)), "its DoRA is for 7 outputs, not 32"),
    "some dora": (
        {
            **bent(dora_scale=torch.ones(32, 1)),
            **{key.replace("to_q", "to_k"): value for key, value in KEYS.items()},
        },
        "mixes the kinds DoRA and LoRA",
    ),
    "kinds": (
        {**KEYS, f"{LAYER[:-1]}k.lokr_w1": torch.ones(2, 2),
         f"{LAYER[:-1]}k.lokr_w2": torch.ones(16, 16)},
        "mixes the kinds LoKr and LoRA",
    ),
    "lokr with dora": (
        of(lokr_w1=torch.ones(2, 2), lokr_w2=torch.ones(16, 16), dora_scale=torch.ones(32, 1)),
        "is a LoKr with .*dora_scale, which is not applied",
    ),
    "half a lokr": (of(lokr_w1=torch.ones(2, 2)), "has no lokr_w2_a, which is half of it"),
    "a wide lokr": (of(lokr_w1=torch.ones(2, 2), lokr_w2=torch.ones(32, 16)), "32 to 64"),
    "half a loha": (
        of(hada_w1_a=UP, hada_w1_b=DOWN, hada_w2_a=UP), "has no hada_w2_b, which is half",
    ),
    "tucker": ({**KEYS, f"{LAYER}.lora_mid.weight": DOWN}, "of the kind a Tucker decomposition"),
    "tucker lokr": (of(lokr_t2=DOWN), "of the kind a Tucker"),
    "oft": (of(oft_blocks=torch.ones(2, 2, 2)), "of the kind OFT, which is not applied"),
    "oft of peft": (of(oft_R__default__weight=torch.ones(2, 2)), "of the kind OFT"),
    "ia3": (of(on_input=torch.ones(1), weight=torch.ones(32)), "of the kind IA3"),
    "glora": (of(a1__weight=DOWN), "of the kind GLoRA"),
    "vera": (of(vera_lambda_b=torch.ones(32)), "of the kind VeRA"),
    "text encoder": (
        {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": DOWN,
         "text_encoder.model.layers.0.q_proj.lora_A.weight": DOWN},
        "all of its 2 tensors are for a text encoder",
    ),
}  # fmt: skip


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


def write(path, told, data=b"", length=None):
    """Write a file by hand."""
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)


def entry(begin=0, end=512, shape=(4, 32), dtype="F32"):
    """Return a header of one tensor."""
    return {f"{LAYER}.lora_A.weight": {
        "dtype": dtype, "shape": list(shape), "data_offsets": [begin, end],
    }}  # fmt: skip


BROKEN = {
    "empty": lambda path: path.write_bytes(b""),
    "a page": lambda path: path.write_bytes(b"<!DOCTYPE html><html>404</html>"),
    "a pointer": lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
    "pickle": lambda path: path.write_bytes(b"PK\x03\x04" + b"\0" * 64),
    "a huge header": lambda path: write(path, b"{}", length=2**60),
    "a large header": lambda path: write(path, b"{" + b" " * (header.MAX_HEADER + 1)),
    "no json": lambda path: write(path, b"{]"),
    "no table": lambda path: write(path, [1]),
    "deep": lambda path: write(path, b"[" * 100_000),
    "bytes missing": lambda path: write(path, entry(), b"\0" * 100),
    "bytes too many": lambda path: write(path, entry(), b"\0" * 1000),
    "overlapping": lambda path: write(path, {**entry(), "y": entry()[f"{LAYER}.lora_A.weight"]}),
    "shape and bytes": lambda path: write(path, entry(shape=(4, 33)), b"\0" * 512),
    "negative": lambda path: write(path, entry(shape=(-4, -32)), b"\0" * 512),
    "no dtype": lambda path: write(path, entry(dtype="F1"), b"\0" * 512),
    "no offsets": lambda path: write(path, {"x": {"dtype": "F32", "shape": [1]}}),
    "an entry that is none": lambda path: write(path, {"x": 3}),
    "no tensors": lambda path: write(path, {}),
}


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
    for size, said in ((2**33, "has a wrong header"), (2**35, "is larger than 16 GiB")):
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
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "peft" else found(name)
    )
    with pytest.raises(rh.ModelError, match=r'pip install "refhooks\[lora\]"'):
        model_editor.add_lora(save(KEYS))


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("where", ["_fill", "_describe"])
def test_what_fails_halfway_leaves_nothing(model_editor, save, monkeypatch, where, others):
    """Whatever it is: modules, parameters and what learns are as before, and so are others."""
    model, fill = model_editor.family.transformer, injecting._fill
    given = factors(model)
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
        model_editor.add_lora(save(LAYOUTS["bare"].write(given)))

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
