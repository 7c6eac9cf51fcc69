"""What is on the model is told as it is, and what was there acts on."""

from __future__ import annotations

import copy
import hashlib
import threading

import pytest
import tiny
import torch
from lora_layouts import LAYOUTS
from lora_models import (
    LAYER,
    acts,
    as_it_is,
    change,
    factors,
    linear_layers,
    lora,
    weight_of,
    weights,
)

import refhooks as rh


@pytest.mark.parametrize("second", ["lora", "lokr", "dora"])
def test_two_stay_active(editor, save, second):
    """Each with its own scale; peft would leave the last alone."""
    before = weight_of(editor.family.transformer.get_submodule(LAYER))[0]
    one, first = lora(editor, save, 1, "one")
    editor.add_lora(one, 0.25)
    with_one = before + change(first, 0.25)
    if second == "lokr":
        left, right = torch.ones(2, 2), torch.randn(16, 16)
        path = save({f"{LAYER}.lokr_w1": left, f"{LAYER}.lokr_w2": right}, "two.safetensors")
        editor.add_lora(path, -0.5)
        acts(editor, with_one, -0.5 * torch.kron(left, right))
    elif second == "lora":
        two, other = lora(editor, save, 2, "two")
        editor.add_lora(two, -0.5)
        acts(editor, with_one, change(other, -0.5))
    else:
        two, other = lora(editor, save, 2, "two")
        tensors = LAYOUTS["bare"].write(other) | {f"{LAYER}.dora_scale": torch.ones(32, 1)}
        editor.add_lora(save(tensors, "two.safetensors"))
        whole = before + change(other, 1)
        acts(editor, whole / whole.norm(dim=1, keepdim=True), change(first, 0.25))

    assert [(it.name, it.active) for it in editor.loras] == [("one", True), ("two", True)]
    editor.remove_lora("two")
    acts(editor, with_one)
    assert [(it.name, it.scale) for it in editor.loras] == [("one", 0.25)]
    editor.remove_lora("one")
    assert "LoraLayer" not in str(as_it_is(editor.family.transformer))


@pytest.mark.parametrize("first", ["lokr", "dora"])
def test_a_dora_is_no_second_to_what_it_would_scale(editor, save, first):
    """A whole weight has one magnitude; a LoRA beside it is added to what it makes."""
    lengths = {f"{LAYER}.dora_scale": torch.ones(32, 1)}
    _, factored = lora(editor, save, 1, "one")
    dora = save(LAYOUTS["bare"].write(factored) | lengths, "dora.safetensors")
    lokr = {f"{LAYER}.lokr_w1": torch.ones(2, 2), f"{LAYER}.lokr_w2": torch.ones(16, 16)}
    editor.add_lora(dora if first == "dora" else save(lokr, "lokr.safetensors"))

    with pytest.raises(rh.ModelError, match=f"is added before LoKr.*there is {first}"):
        editor.add_lora(dora)
    assert [first] == [it.name for it in editor.loras]


def test_those_that_others_loaded_stay_and_are_told(editor, save):
    """Beside them, by whatever loaded them."""
    before = weight_of(editor.family.transformer.get_submodule(LAYER))[0]
    one, first = lora(editor, save, 1, "one", layout="diffusers")
    two, other = lora(editor, save, 2, "two")
    editor.pipe.load_lora_weights(str(one), adapter_name="theirs")
    editor.pipe.set_adapters(["theirs"], [0.3])

    editor.add_lora(two)

    acts(editor, before, change(first, 0.3), change(other, 1))
    assert list(editor.pipe.get_list_adapters()["transformer"]) == ["theirs", "two"]
    assert [("theirs", "", "", 0.3), ("two", "two.safetensors", digest(two), 1.0)] == [
        (it.name, it.file, it.sha256, pytest.approx(it.scale)) for it in editor.loras
    ]
    editor.pipe.set_adapters(["theirs", "two"], [1.0, 0.5])
    acts(editor, before, change(first, 1), change(other, 0.5))
    assert [it.scale for it in editor.loras] == [1.0, 0.5]


def digest(path):
    """Return a file's hash."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_state_says_what_diffusers_did(editor, save):
    """Disabled, enabled, fused with a scale, unfused: as the layers have it."""
    path, _ = lora(editor, save, 1, "one", layout="Lightning")
    editor.add_lora(path, 0.5)
    pipe = editor.pipe

    def told():
        (state,) = editor.loras
        return state.scale, state.active, state.fused

    assert [it.factor for it in editor.loras] == [0.25]
    assert told() == (0.5, True, False)
    pipe.disable_lora()
    assert told() == (0.5, False, False)
    pipe.enable_lora()
    assert told() == (0.5, True, False)
    pipe.fuse_lora(lora_scale=0.5)
    assert told() == (0.25, True, True)
    pipe.unfuse_lora()
    assert told() == (0.25, True, False)


def test_a_scale_that_layers_do_not_share_is_told(editor, save):
    """As ``set_adapters`` with a table leaves it."""
    layers = [LAYER, "transformer_blocks.1.attn.to_q"]
    path, _ = lora(editor, save, 1, "one", layers)
    editor.add_lora(path)
    editor.family.transformer.set_adapters(["one"], [{"transformer_blocks.0": 0.5}])

    (state,) = editor.loras
    assert (state.scale, state.uniform, state.layers) == (1.0, False, 2)


def test_another_file_under_the_name_is_not_taken_for_the_first(editor, save):
    """Hot-swapped by diffusers, or deleted and loaded again."""
    one, _ = lora(editor, save, 1, "one", layout="diffusers")
    two, other = lora(editor, save, 2, "two", layout="diffusers")
    before = weight_of(editor.family.transformer.get_submodule(LAYER))[0]
    editor.add_lora(one, 0.5, "style")
    assert [it.factor for it in editor.loras] == [0.5]
    assert digest(one) == editor.loras[0].sha256

    editor.pipe.load_lora_weights(str(two), adapter_name="style", hotswap=True)

    acts(editor, before, change(other, 1))
    assert [(it.name, it.file, it.scale) for it in editor.loras] == [("style", "", 1.0)]
    editor.remove_lora("style")
    editor.add_lora(one, 0.5, "style")
    editor.pipe.delete_adapters("style")
    editor.pipe.load_lora_weights(str(one), adapter_name="style")
    assert [editor.loras[0].file, editor.loras[0].sha256] == ["", ""]


def test_a_copy_of_the_model_knows_its_files(editor, save):
    """What is known lies on the model; in half precision as well."""
    path, _ = lora(editor, save, 1, "one")
    editor.add_lora(path, 0.5)
    other = rh.Editor(copy.deepcopy(editor.pipe))
    other.pipe.transformer.to(torch.bfloat16)

    assert digest(path) == other.loras[0].sha256
    path.write_bytes(b"another")
    assert ("one.safetensors", "") in [(it.file, it.sha256) for it in other.loras] or (
        digest(path) != other.loras[0].sha256
    )


def test_a_file_that_is_written_anew_changes_nothing(editor, save):
    """A training script does so while the model runs; files are mapped where they are read."""
    path, factored = lora(editor, save, 1, "one")
    before = weight_of(editor.family.transformer.get_submodule(LAYER))[0]
    editor.add_lora(path)
    with path.open("r+b") as opened:
        opened.seek(-64, 2)
        opened.write(b"\0" * 64)
    acts(editor, before, change(factored, 1))
    path.write_bytes(b"")
    acts(editor, before, change(factored, 1))


def test_beside_fused_ones_none_is_added(editor, save):
    """Peft would undo the fusing without a word; nor can a fused one be taken off."""
    path, _ = lora(editor, save, 1, "one")
    editor.add_lora(path)
    editor.pipe.fuse_lora()
    for call in (lambda: editor.add_lora(path), lambda: editor.remove_lora("one")):
        with pytest.raises(rh.ModelError, match=r"one is fused .*unfuse_lora"):
            call()


def test_one_that_was_off_stays_off_and_says_so(editor, save):
    """As with diffusers, where only a later look would show it."""
    before = weight_of(editor.family.transformer.get_submodule(LAYER))[0]
    one, _ = lora(editor, save, 1, "one")
    two, other = lora(editor, save, 2, "two")
    editor.add_lora(one)
    editor.pipe.disable_lora()

    with pytest.warns(rh.RefhooksWarning, match="one did not act before"):
        editor.add_lora(two)

    acts(editor, before, change(other, 1))
    assert [it.active for it in editor.loras] == [False, True]


def test_names_come_from_files_and_are_free(editor, save):
    """A second one of the same file has a number; one that is taken is refused."""
    path, _ = lora(editor, save, 1, "my style v1.2")
    assert [editor.add_lora(path) for _ in range(2)] == ["my-style-v1-2", "my-style-v1-2-2"]
    other, _ = lora(editor, save, 1, "keys")
    assert editor.add_lora(other) == "lora-keys"
    with pytest.raises(rh.InputError, match="has a LoRA 'lora-keys'; give another name"):
        editor.add_lora(other, name="lora-keys")
    with pytest.raises(rh.InputError, match="there is no LoRA 'x' on the model; there is: my-"):
        editor.remove_lora("x")


def test_what_has_no_place_is_named_and_the_rest_applied(editor, save):
    """A norm, a text encoder, a layer that is not there; in one warning of bounded length."""
    model = editor.family.transformer
    layers = list(linear_layers(model))
    factored = {layer: pair for layer, pair in factors(model).items() if layer in layers}
    tensors = LAYOUTS["kohya"].write(factored)
    vector, whole = torch.ones(4, 32), torch.ones(32, 4)
    for name in ("lora_unet_txt_norm", "lora_unet_gone", "lora_te_model_layers_0_q_proj"):
        tensors |= {f"{name}.lora_down.weight": vector, f"{name}.lora_up.weight": whole}
    tensors["img_in.modules_to_save.weight"] = vector
    before = weights(model, factored)

    with pytest.warns(rh.RefhooksWarning) as caught:
        editor.add_lora(save(tensors))

    (said,) = [str(entry.message) for entry in caught]
    assert f"2 of its {len(layers) + 2} layers have no place in QwenImageTransformer2DM" in said
    for part in (
        "lora_unet_txt_norm",
        "lora_unet_gone",
        "2 tensors are for a text encoder",
        "lora_te_model_layers_0_q_proj",
        "1 tensors are no LoRA's",
        "modules_to_save",
    ):
        assert part in said
    assert len(said) < 700
    for name, (down, up) in factored.items():
        now = weight_of(model.get_submodule(name))[0]
        torch.testing.assert_close(now, before[name] + 0.5 * up @ down, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model_dtype", [torch.float32, torch.bfloat16])
def test_factors_take_the_models_dtype(editor, save, stored, model_dtype):
    """As peft has it."""
    editor.pipe.transformer.to(model_dtype)
    _, factored = lora(editor, save, 1, "one")
    factored = {layer: tuple(part.to(stored) for part in pair) for layer, pair in factored.items()}
    editor.add_lora(save(LAYOUTS["bare"].write(factored), "one.safetensors"))

    layer = editor.family.transformer.get_submodule(LAYER)
    assert {model_dtype} == {layer.lora_A["one"].weight.dtype, layer.lora_B["one"].weight.dtype}
    torch.testing.assert_close(layer.lora_A["one"].weight, factored[LAYER][0].to(model_dtype))


def test_factors_of_layers_that_are_cast_keep_their_own_dtype(editor, save):
    """Diffusers stores them in eight bits, and computes with what is left."""
    editor.pipe.transformer.enable_layerwise_casting(
        storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32
    )
    path, factored = lora(editor, save, 1, "one")
    editor.add_lora(path)

    layer = editor.family.transformer.get_submodule(LAYER)
    assert torch.equal(factored[LAYER][0], layer.lora_A["one"].weight)
    editor.edit(tiny.picture(), "x", steps=2, cfg=1, seed=1)


def test_factors_of_eight_bits_are_read(editor, save):
    """Files of that kind are smaller; nothing is computed in them."""
    before = weight_of(editor.family.transformer.get_submodule(LAYER))[0]
    _, factored = lora(editor, save, 1, "one")
    factored = {
        layer: tuple(part.to(torch.float8_e4m3fn) for part in pair)
        for layer, pair in factored.items()
    }
    editor.add_lora(save(LAYOUTS["bare"].write(factored), "one.safetensors"))
    acts(editor, before, change({LAYER: tuple(part.float() for part in factored[LAYER])}, 1))


def test_an_edit_keeps_loras_away(editor, save):
    """The layers are changed when nobody runs them."""
    path, _ = lora(editor, save, 1, "one")
    caught = []

    def inside(step, _latents, _x0):
        if step == 0:

            def add():
                try:
                    editor.add_lora(path)
                except rh.BusyError as error:
                    caught.append(error)

            thread = threading.Thread(target=add)
            thread.start()
            thread.join()

    editor.edit(tiny.picture(), "x", steps=2, cfg=1, seed=1, callback=inside)
    assert len(caught) == 1
    assert editor.loras == ()


def test_a_plain_module_takes_one(save):
    """No method of diffusers is needed, nor a pipeline; convolutions count as well."""
    from refhooks._loras.adding import add_file
    from refhooks._loras.header import read_header

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 2), torch.nn.Flatten(), torch.nn.Linear(8, 5))
    down, up = torch.randn(2, 3, 2, 2), torch.randn(8, 2, 1, 1)
    flat_down, flat_up = torch.randn(2, 8, 1, 1), torch.randn(5, 2, 1, 1)
    path = save({
        "lora_unet_0.lora_down.weight": down, "lora_unet_0.lora_up.weight": up,
        "lora_unet_2.lora_down.weight": flat_down, "lora_unet_2.lora_up.weight": flat_up,
    })  # fmt: skip
    seen = torch.randn(1, 3, 2, 2)
    merged = copy.deepcopy(model)
    with torch.no_grad():
        merged[0].weight += torch.einsum("or,rikl->oikl", up[:, :, 0, 0], down)
        merged[2].weight += flat_up[:, :, 0, 0] @ flat_down[:, :, 0, 0]

    add_file(None, model, read_header(path))

    torch.testing.assert_close(model(seen), merged(seen), atol=1e-5, rtol=1e-5)


def test_a_layer_outside_is_not_taken_for_one_inside(save):
    """Names are compared whole: ``proj_out`` is not every layer that ends so."""
    from refhooks._loras.adding import add_file
    from refhooks._loras.header import read_header

    model = torch.nn.ModuleDict({
        "proj_out": torch.nn.Linear(4, 4),
        "blocks": torch.nn.ModuleList([torch.nn.ModuleDict({"proj_out": torch.nn.Linear(4, 4)})]),
    })  # fmt: skip
    inner = model["blocks"][0]["proj_out"]
    add_file(None, model, read_header(save({
        "proj_out.lora_A.weight": torch.ones(1, 4), "proj_out.lora_B.weight": torch.ones(4, 1),
    })))  # fmt: skip

    assert inner is model["blocks"][0]["proj_out"]
    assert hasattr(model["proj_out"], "base_layer")
