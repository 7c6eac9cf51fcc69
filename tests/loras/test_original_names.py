"""LoRAs on FLUX.2 by the names of its own code, with queries, keys and values in one layer."""

from __future__ import annotations

import pytest
import torch
from lora_kinds import WRITERS, random
from lora_layouts import LAYOUTS
from lora_models import as_it_is, weight_of, weights
from lora_originals import ORIGINALS, converted, pairs, sizes

import refhooks as rh
from refhooks_flux2 import _tiny

QKV = "double_blocks.0.img_attn.qkv"


@pytest.fixture(scope="module", params=[_tiny.tiny_klein, _tiny.tiny_dev])
def flux(request):
    """An editor on klein, and on dev, whose guidance has layers; tests take off what they add."""
    return rh.Editor(request.param())


def check(editor, path, changes, scale=1.0):
    """Add a file, compare what every layer acts with, and take it off."""
    model = editor.family.transformer
    before, told = weights(model, converted(changes)), as_it_is(model)

    name = editor.add_lora(path, scale)

    for layer, change in converted(changes).items():
        now = weight_of(model.get_submodule(layer))[0]
        torch.testing.assert_close(now, before[layer] + scale * change, atol=2e-4, rtol=1e-4)
    editor.remove_lora(name)
    assert told == as_it_is(model)


@pytest.mark.filterwarnings("ignore:.*adapter_config.json:refhooks.RefhooksWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_applied_exactly(flux, save, layout):
    """As the merged checkpoint, brought to diffusers' names by its own converter."""
    way, factored = LAYOUTS[layout], pairs(flux.family.transformer)
    changes = {name: way.scaled * up @ down for name, (down, up) in factored.items()}

    check(flux, save(way.write(factored), notes=way.notes or None), changes, 0.5)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_is_split_exactly(flux, save, kind):
    """Queries, keys and values have their own rows of what changes all three."""
    tensors, changes = {}, {}
    for written, (out, into) in sizes(flux.family.transformer).items():
        if written.endswith("qkv") and kind.__name__.startswith("lokr"):
            first, two = random(6, 2), random(out // 6, into // 2)  # six blocks, two for each
            parts, changes[written] = {"lokr_w1": first, "lokr_w2": two}, torch.kron(first, two)
        else:
            parts, changes[written] = kind(out, into)
        tensors |= {f"diffusion_model.{written}.{part}": value for part, value in parts.items()}

    check(flux, save(tensors), changes, 0.5)


def test_a_dora_is_split_exactly(flux, save):
    """Each of the three has its own outputs' lengths."""
    model = flux.family.transformer
    down, up = pairs(model)[QKV]
    lengths = random(len(up), 1).abs() + 0.5
    tensors = {**LAYOUTS["ComfyUI"].write({QKV: (down, up)}), f"{QKV}.dora_scale": lengths}
    tensors[f"diffusion_model.{QKV}.dora_scale"] = tensors.pop(f"{QKV}.dora_scale")
    before = weights(model, ORIGINALS[QKV])

    name = flux.add_lora(save(tensors))

    rows = up.shape[0] // 3
    for number, layer in enumerate(ORIGINALS[QKV]):
        own = slice(number * rows, (number + 1) * rows)
        whole = before[layer] + up[own] @ down
        expected = lengths[own] * whole / whole.norm(dim=1, keepdim=True)
        torch.testing.assert_close(
            weight_of(model.get_submodule(layer))[0], expected, atol=2e-4, rtol=1e-4
        )
    flux.remove_lora(name)


def test_a_lokr_that_no_rows_can_split_is_refused(flux, save):
    """Its blocks would lie across queries and keys; nothing is added."""
    out, into = sizes(flux.family.transformer)[QKV]
    tensors = {f"{QKV}.lokr_w1": random(2, 2), f"{QKV}.lokr_w2": random(out // 2, into // 2)}
    before = as_it_is(flux.family.transformer)

    with pytest.raises(rh.InputError, match=r"LoKr in blocks of 48 .* cannot be split exactly"):
        flux.add_lora(save(tensors))

    assert before == as_it_is(flux.family.transformer)


@pytest.mark.parametrize("layout", ["ComfyUI", "kohya"])
def test_it_is_what_diffusers_loads(save, layout):
    """Apart from the last modulation, whose halves diffusers leaves as they are in the file."""
    ours, theirs = rh.Editor(_tiny.tiny_klein()), _tiny.tiny_klein()
    factored = pairs(ours.family.transformer)
    left_out = ["final_layer.adaLN_modulation.1"]
    if layout == "kohya":  # of which diffusers' converter knows no modulations
        left_out += [name for name in factored if name.endswith(".lin")]
    kept = {name: pair for name, pair in factored.items() if name not in left_out}
    path = save(LAYOUTS[layout].write(kept))

    ours.add_lora(path)
    theirs.load_lora_weights(str(path.parent), weight_name=path.name)

    layers = [layer for name in kept for layer in ORIGINALS[name]]
    for name, weight in weights(theirs.transformer, layers).items():
        own = weight_of(ours.family.transformer.get_submodule(name))[0]
        torch.testing.assert_close(own, weight, atol=2e-4, rtol=1e-4)


def test_a_key_without_a_place_is_named(flux, save):
    """The rest is applied: here, a block that the model has not."""
    factored = {QKV: pairs(flux.family.transformer)[QKV]}
    tensors = LAYOUTS["ComfyUI"].write(factored)
    tensors |= LAYOUTS["ComfyUI"].write({"double_blocks.7.img_attn.qkv": factored[QKV]})

    with pytest.warns(rh.RefhooksWarning, match=r"1 of its 2 .*double_blocks\.7\.img_attn"):
        name = flux.add_lora(save(tensors))

    assert flux.loras[0].layers == 3
    flux.remove_lora(name)


def test_one_layer_by_both_names_is_refused(flux, save):
    """Which of them would count?"""
    factored = {QKV: pairs(flux.family.transformer)[QKV]}
    down, up = factored[QKV]
    own = {ORIGINALS[QKV][1]: (down, up[:32])}
    tensors = LAYOUTS["bare"].write(factored) | LAYOUTS["bare"].write(own)

    with pytest.raises(rh.InputError, match=r"qkv and transformer_blocks\.0.* are one layer"):
        flux.add_lora(save(tensors))


def test_another_models_file_is_refused_in_one_sentence(model_editor, flux, save):
    """FLUX.2's on Qwen, which has two layers of these names; and one of another width."""
    tensors = LAYOUTS["ComfyUI"].write(pairs(flux.family.transformer))
    with pytest.raises(rh.ModelError, match=r"2 of its \d+ layers have a place"):
        model_editor.add_lora(save(tensors))

    wider = {QKV: (torch.ones(4, 64), torch.ones(192, 4))}
    with pytest.raises(rh.ModelError, match=r"for a layer of 64 to 192, .* is 32 to 96"):
        flux.add_lora(save(LAYOUTS["ComfyUI"].write(wider), "wider.safetensors"))


def test_names_that_lost_their_first_letters_are_found(flux, save):
    """Some exports cut ``tran`` off: ``sformer_blocks``."""
    model, layer = flux.family.transformer, "transformer_blocks.0.attn.to_q"
    down, up = random(4, 32), random(32, 4)
    before = weights(model, [layer])[layer]
    cut = {f"diffusion_model.{layer.removeprefix('tran')}": (down, up)}

    name = flux.add_lora(save(LAYOUTS["bare"].write(cut)))

    now = weight_of(model.get_submodule(layer))[0]
    torch.testing.assert_close(now, before + up @ down, atol=2e-4, rtol=1e-4)
    flux.remove_lora(name)
