"""Every layout and every kind, on every family: the layers act with the merged weights."""

from __future__ import annotations

import json

import pytest
import tiny
import torch
from lora_kinds import WRITERS, random
from lora_layouts import ALPHA, LAYOUTS, RANK
from lora_models import LAYER, as_it_is, factors, linear_layers, weight_of, weights

import refhooks as rh


def merged(before, factored, scale):
    """Return ``W + scale·B·A``."""
    return {name: before[name] + scale * (up @ down) for name, (down, up) in factored.items()}


def check(model, expected):
    """Check the weight that every layer acts with."""
    for name, weight in expected.items():
        torch.testing.assert_close(
            weight_of(model.get_submodule(name))[0], weight, atol=2e-4, rtol=1e-4
        )


@pytest.mark.filterwarnings("ignore:.*adapter_config.json:refhooks.RefhooksWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_applied_exactly(any_editor, save, layout):
    """``W + scale·alpha/rank·B·A``, in every linear layer; and it comes off without a trace."""
    model, way = any_editor.family.transformer, LAYOUTS[layout]
    factored = factors(model)
    before, told = weights(model, factored), as_it_is(model)

    name = any_editor.add_lora(save(way.write(factored), notes=way.notes or None), 0.5)

    check(model, merged(before, factored, 0.5 * way.scaled))
    any_editor.remove_lora(name)
    after = as_it_is(model)
    assert [entry[:2] for entry in told] == [entry[:2] for entry in after]


@pytest.mark.parametrize("prefix", ["diffusion_model.", "lycoris_", ""])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_kind_is_applied_exactly(any_editor, save, kind, prefix):
    """As its own formula has it, at half its scale."""
    model = any_editor.family.transformer
    tensors, expected = {}, {}
    for name, layer in linear_layers(model).items():
        parts, change = kind(layer.out_features, layer.in_features)
        written = name.replace(".", "_") if prefix.endswith("_") else name
        tensors |= {f"{prefix}{written}.{part}": value for part, value in parts.items()}
        expected[name] = weight_of(layer)[0] + 0.5 * change

    name = any_editor.add_lora(save(tensors), 0.5)

    check(model, expected)
    any_editor.remove_lora(name)


@pytest.mark.parametrize(
    "key", ["dora_scale", "lora_magnitude_vector", "lora_magnitude_vector.weight"]
)
def test_a_dora_is_applied_exactly(any_editor, save, key):
    """Each output's weights have the length that the file says, and the direction of the sum."""
    model, way = any_editor.family.transformer, LAYOUTS["Lightning"]
    factored = factors(model)
    before, tensors, expected = weights(model, factored), way.write(factored), {}
    for name, (down, up) in factored.items():
        lengths = random(len(up), 1).abs() + 0.5
        tensors[f"{name}.{key}"] = lengths if key == "dora_scale" else lengths[:, 0]
        whole = before[name] + ALPHA / RANK * up @ down
        expected[name] = lengths * whole / whole.norm(dim=1, keepdim=True)

    name = any_editor.add_lora(save(tensors))

    check(model, expected)
    assert [state.kind for state in any_editor.loras] == ["DoRA"]
    any_editor.remove_lora(name)


@pytest.mark.parametrize(
    ("part", "times"), [("lora_B.bias", 0.5), ("lora_up.bias", 0.5), ("diff_b", 1.0)]
)
def test_a_bias_is_applied(model_editor, save, part, times):
    """Peft's is scaled by alpha over rank, ComfyUI's is not."""
    model, layer = model_editor.family.transformer, "transformer_blocks.0.attn.to_q"
    factored = {layer: factors(model)[layer]}
    bias = random(len(factored[layer][1]))
    tensors = {**LAYOUTS["Lightning"].write(factored), f"{layer}.{part}": bias}
    before = weight_of(model.get_submodule(layer))[1]

    name = model_editor.add_lora(save(tensors), 0.5)

    torch.testing.assert_close(
        weight_of(model.get_submodule(layer))[1], before + 0.5 * times * bias, atol=1e-5, rtol=0
    )
    model_editor.remove_lora(name)


@pytest.mark.parametrize(
    ("notes", "scaled"),
    [
        ({"transformer.r": 4, "transformer.lora_alpha": 8}, 2.0),
        ({"transformer.lora_alpha": 8, "transformer.use_rslora": True}, 4.0),
        ({"transformer.lora_alpha": 4, "transformer.alpha_pattern": {"attn.to_q": 8}}, 2.0),
        ({"transformer.lora_alpha": 4, "transformer.alpha_pattern": {"^proj_out": 8}}, 1.0),
        ({"text_encoder.lora_alpha": 8}, 1.0),
    ],
)
def test_metadata_tell_alpha(model_editor, save, notes, scaled):
    """What diffusers writes of peft's configuration, where no tensor says it."""
    model, layer = model_editor.family.transformer, "transformer_blocks.0.attn.to_q"
    factored = {layer: factors(model)[layer]}
    before = weights(model, factored)
    path = save(
        LAYOUTS["diffusers"].write(factored), notes={"lora_adapter_metadata": json.dumps(notes)}
    )

    name = model_editor.add_lora(path)

    check(model, merged(before, factored, scaled))
    model_editor.remove_lora(name)


def test_pefts_own_configuration_is_read(model_editor, save):
    """``adapter_config.json``, beside the file that peft names so; without it, a warning."""
    model, layer = model_editor.family.transformer, "transformer_blocks.0.attn.to_q"
    factored = {layer: factors(model)[layer]}
    before = weights(model, factored)
    path = save(LAYOUTS["peft"].write(factored), "adapter_model.safetensors")
    with pytest.warns(rh.RefhooksWarning, match=r"no adapter_config\.json beside it"):
        name = model_editor.add_lora(path)
    check(model, merged(before, factored, 1.0))
    model_editor.remove_lora(name)

    path.with_name("adapter_config.json").write_text('{"lora_alpha": 8, "r": 4}')
    name = model_editor.add_lora(path)

    check(model, merged(before, factored, 2.0))
    model_editor.remove_lora(name)


def test_ranks_and_alphas_may_differ(model_editor, save):
    """From layer to layer; a layer without alpha beside others with it is told."""
    model = model_editor.family.transformer
    layers = [f"transformer_blocks.0.attn.to_{letter}" for letter in "qkv"]
    before, tensors, expected = weights(model, layers), {}, {}
    for rank, layer in enumerate(layers, 1):
        down, up = factors(model, rank=rank)[layer]
        tensors |= {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
        expected[layer] = before[layer] + (1 if rank == 3 else 4 * rank / rank) * up @ down
        if rank < 3:
            tensors[f"{layer}.alpha"] = torch.tensor([4.0 * rank])

    with pytest.warns(rh.RefhooksWarning, match="1 of its 3 layers have no alpha"):
        name = model_editor.add_lora(save(tensors))

    check(model, expected)
    model_editor.remove_lora(name)


def test_what_a_trainer_notes_is_told_and_not_applied(model_editor, save):
    """Converters multiply alpha in and leave kohya's notes; no loader applies them."""
    model, layer = model_editor.family.transformer, "transformer_blocks.0.attn.to_q"
    factored = {layer: factors(model)[layer]}
    before = weights(model, factored)
    notes = {"ss_network_alpha": "8", "ss_network_dim": "16"}

    with pytest.warns(rh.RefhooksWarning, match=r"alpha 8 at rank 16.*its scale is 0\.5"):
        name = model_editor.add_lora(save(LAYOUTS["ComfyUI"].write(factored), notes=notes))

    check(model, merged(before, factored, 1.0))
    model_editor.remove_lora(name)


def test_notes_below_one_are_told_as_well(model_editor, save):
    """Alpha may be a half, and the rank 1."""
    factored = {LAYER: factors(model_editor.family.transformer, rank=1)[LAYER]}
    notes = {"ss_network_alpha": "0.5", "ss_network_dim": "1"}

    with pytest.warns(rh.RefhooksWarning, match=r"alpha 0\.5 at rank 1.*its scale is 0\.5"):
        name = model_editor.add_lora(save(LAYOUTS["ComfyUI"].write(factored), notes=notes))

    model_editor.remove_lora(name)


def test_a_run_is_that_of_the_merged_weights(model_editor, save):
    """The latents of an edit, through the whole model."""
    model = model_editor.family.transformer
    layers = [name for name in linear_layers(model) if ".attn." in name]
    factored = {name: pair for name, pair in factors(model).items() if name in layers}

    def latents():
        return model_editor.edit(tiny.picture(), "make it blue", steps=2, cfg=1, seed=1).latents

    plain = latents()
    name = model_editor.add_lora(save(LAYOUTS["kohya"].write(factored)), 0.1)
    added = latents()
    model_editor.remove_lora(name)
    torch.testing.assert_close(latents(), plain, atol=0, rtol=0)
    before = {name: model.get_submodule(name).weight.detach().clone() for name in layers}
    with torch.no_grad():
        for name, weight in merged(before, factored, 0.05).items():
            model.get_submodule(name).weight.copy_(weight)
    try:
        torch.testing.assert_close(added, latents(), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(added, plain, atol=1e-2)
    finally:
        with torch.no_grad():
            for name, weight in before.items():
                model.get_submodule(name).weight.copy_(weight)
