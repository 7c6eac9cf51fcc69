"""What users put on a model is in the recipe: LoRAs, the scheduler's settings, the backend."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import accelerate
import attrs
import pytest
import tiny
import torch
from safetensors.torch import save_file

import refhooks as rh
from refhooks._apps.recipes.additions import loras_of
from refhooks._apps.recipes.recipe import parse_recipe

FORMS = sorted((Path(__file__).parent / "forms").glob("*.json"))
LAYERS = ("attn.to_q", "attn.to_v", "img_mlp.net.0.proj")


def editor_for(pipe):
    """At the size of these tests."""
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=1024, reference=1024, vision=1024))


def lora(pipe, seed=1):
    """Tensors of a LoRA whose effect can be seen."""
    draw, tensors = torch.Generator().manual_seed(seed), {}
    for block in range(len(pipe.transformer.transformer_blocks)):
        for name in LAYERS:
            label = f"transformer_blocks.{block}.{name}"
            layer = pipe.transformer.get_submodule(label)
            shapes = {"lora_A": (4, layer.in_features), "lora_B": (layer.out_features, 4)}
            for part, shape in shapes.items():
                value = 0.5 * torch.randn(shape, generator=draw)
                tensors[f"transformer.{label}.{part}.weight"] = value
    return tensors


def load(pipe, name="style", scale=1.0, seed=1):
    """Load it, and set its scale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe.load_lora_weights(lora(pipe, seed), adapter_name=name)
        pipe.set_adapters([name], [scale])


STATES = {
    "half": lambda pipe: load(pipe, scale=0.5),
    "none": lambda pipe: None,
    "other weights": lambda pipe: load(pipe, seed=2),
    "fused": lambda pipe: (load(pipe), pipe.fuse_lora()),
    "fused and gone": lambda pipe: (load(pipe), pipe.fuse_lora(), pipe.unload_lora_weights()),
    "disabled": lambda pipe: (load(pipe), pipe.disable_lora()),
    "a second one": lambda pipe: (
        load(pipe), load(pipe, "other", seed=3), pipe.set_adapters(["style", "other"], [1.0, 0.7])
    ),
    "by block": lambda pipe: (
        load(pipe), pipe.set_adapters(["style"], [{"transformer": 0.25}])
    ),
}  # fmt: skip
SAID = {
    "half": "LoRA style: its scale was 1.0, and is 0.5",
    "none": "LoRA style: it took part at 1.0, and does not now",
    "other weights": "LoRA style: its weights are others than they were",
    "disabled": "LoRA style: it took part at 1.0, and does not now",
    "a second one": "LoRA other: it took no part, and does now",
    "by block": "LoRA style: its scale was 1.0, and is 0.25",
}


@pytest.fixture
def made(folder):
    """A picture made with a LoRA at 1, saved."""
    pipe = tiny.build("plus", "middle")
    load(pipe)
    result = editor_for(pipe).edit("photo.png", "make it blue", seed=1, steps=2)
    result.save("made.png")
    return result


def test_each_state_of_a_lora_reads_differently(folder):
    """Weight, scale, disabled or fused: today's recipes cannot be taken for each other."""
    read = {}
    for name, put in {"whole": load, **STATES}.items():
        pipe = tiny.build("plus", "middle")
        put(pipe)
        recipe = editor_for(pipe).edit("photo.png", "make it blue", seed=1, steps=2).recipe
        read[name] = json.dumps([attrs.asdict(entry) for entry in recipe.model.loras])

    assert len(set(read.values())) == len(read), read


@pytest.mark.parametrize("state", SAID)
def test_a_replay_says_what_differs_of_loras(made, state):
    """By its name; with a setting too, since another LoRA is another picture by intention."""
    pipe = tiny.build("plus", "middle")
    STATES[state](pipe)
    editor = editor_for(pipe)

    with pytest.warns(rh.RefhooksWarning, match=f"What differs: .*{SAID[state]}"):
        editor.replay("made.png")
    with pytest.warns(rh.RefhooksWarning, match=SAID[state]):
        editor.replay("made.png", seed=5)


def test_the_same_lora_under_another_name_is_the_same(made):
    """The picture is the same to the bit, so nothing is told."""
    pipe = tiny.build("plus", "middle")
    load(pipe, "renamed")

    again = editor_for(pipe).replay("made.png")

    assert made.image.tobytes() == again.image.tobytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        editor_for(pipe).replay("made.png", seed=5)


def test_a_lora_s_file_is_recorded_where_it_is_known(folder):
    """Its name without a folder, and the hash of its bytes."""
    pipe = tiny.build("plus", "middle")
    layer = "transformer_blocks.0.attn.to_q"
    width = pipe.transformer.get_submodule(layer).in_features
    factors = {"lora_A": torch.ones(2, width), "lora_B": torch.ones(width, 2)}
    save_file(
        {f"{layer}.{part}.weight": factor for part, factor in factors.items()},
        folder / "style.safetensors",
    )
    editor = editor_for(pipe)
    editor.add_lora(folder / "style.safetensors", 0.5)

    [entry] = editor.edit("photo.png", "x", seed=1, steps=2).recipe.model.loras

    assert (entry.file, entry.scale, entry.active, entry.fused) == (
        "style.safetensors", 0.5, True, False
    )  # fmt: skip
    assert len(entry.sha256) == len(entry.weights) == 64


def test_other_weights_in_the_same_tensors_are_other_weights(folder):
    """As a hotswap leaves them; the hash is not remembered over it."""
    pipe = tiny.build("plus", "middle")
    load(pipe)
    editor, hashes = editor_for(pipe), []
    for _ in range(2):
        recipe = editor.edit("photo.png", "x", seed=1, steps=2).recipe
        hashes.append(recipe.model.loras[0].weights)
        for name, weight in pipe.transformer.named_parameters():
            if "lora_A" in name:
                weight.data = weight.data + 1.0
    assert hashes[0] != hashes[1]


def told(transformer, pipe):
    """What a recipe would say of the LoRAs on a transformer."""
    return loras_of(SimpleNamespace(transformer=transformer), pipe)


def test_a_lora_of_unknown_file_is_told_by_its_own_tensors():
    """Of one name and one scale: other values or ranks are others; the file stays unknown."""
    hashes = []
    for seed, rank in [(1, 4), (1, 4), (2, 4), (1, 2)]:
        pipe = tiny.build("plus", "middle")
        tensors = {
            key: value[:rank] if "lora_A" in key else value[:, :rank]
            for key, value in lora(pipe, seed).items()
        }
        pipe.load_lora_weights(tensors, adapter_name="style")
        [entry] = told(pipe.transformer, pipe)
        assert (entry.name, entry.file, entry.sha256) == ("style", "", "")
        hashes.append(entry.weights)

    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    assert all(len(it) == 64 for it in hashes)


def test_where_the_weights_are_and_what_is_compiled_makes_no_difference():
    """Offloaded layer by layer their hash is the same, and that of other weights is another."""
    hashes = {}
    for seed in (1, 2):
        pipe = tiny.build("plus", "middle")
        load(pipe, seed=seed)
        [plain] = told(pipe.transformer, pipe)
        [compiled] = told(torch.compile(pipe.transformer, backend="eager"), pipe)
        accelerate.cpu_offload(pipe.transformer, execution_device=torch.device("cpu"))
        assert all(weight.is_meta for weight in pipe.transformer.parameters())
        [offloaded] = told(pipe.transformer, pipe)
        assert plain == compiled == offloaded
        hashes[seed] = offloaded.weights

    assert hashes[1] != hashes[2]


SCHEDULERS = {
    "shift": lambda pipe: pipe.scheduler.register_to_config(max_shift=2.5),
    "set_shift": lambda pipe: pipe.scheduler.set_shift(7.0),
}


@pytest.mark.parametrize(
    ("change", "words"),
    [("shift", "scheduler, max_shift: it was .*, and is 2.5"),
     ("set_shift", "scheduler, shift: it was the default, and is 7.0")],
)  # fmt: skip
def test_a_replay_says_what_differs_of_the_scheduler(folder, change, words):
    """Settings that are not the class's own are recorded, also those that no configuration has."""
    pipe = tiny.build("plus", "middle")
    editor_for(pipe).edit("photo.png", "make it blue", seed=1, steps=4).save("made.png")
    recipe = rh.load_recipe("made.png")
    assert recipe.model.scheduler["class"] == "FlowMatchEulerDiscreteScheduler"
    other = tiny.build("plus", "middle")
    SCHEDULERS[change](other)

    with pytest.warns(rh.RefhooksWarning, match=words):
        editor_for(other).replay("made.png", seed=5)


def test_a_replay_says_that_the_backend_is_another(folder, editor):
    """The default is the whole process's, so nothing else tells."""
    editor.edit("photo.png", "make it blue", seed=1, steps=2).save("made.png")
    recipe = rh.load_recipe("made.png")
    assert recipe.model.attention == "native"
    older = attrs.evolve(recipe, model=attrs.evolve(recipe.model, attention="_native_math"))

    assert "attention backend: it was _native_math, and is native" in older.differences(editor)


@pytest.mark.parametrize("form", FORMS, ids=[path.stem for path in FORMS])
def test_recipes_of_every_earlier_form_replay(folder, editor, form):
    """What they do not say is no difference."""
    recipe = attrs.evolve(parse_recipe(form.read_bytes(), form.name), folder=folder)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = editor.replay(recipe)

    assert result.seed == recipe.seed
    assert not [one for one in told if "LoRA" in str(one.message) or "sched" in str(one.message)]


def test_there_are_earlier_forms():
    """Else the test above would try nothing."""
    formats = [json.loads(path.read_bytes())["format"] for path in FORMS]
    assert formats.count(1) >= 2


HOSTILE = {
    "loras": "x",
    "loras of text": ["style"],
    "a lora without a name": [{}],
    "an unknown key": [{"name": "a", "path": "/etc/passwd"}],
    "a path as file": [{"name": "a", "file": "../a.safetensors"}],
    "no hash": [{"name": "a", "weights": "abc"}],
    "a scale of text": [{"name": "a", "scale": "one"}],
    "a scale of lists": [{"name": "a", "scale": [[1]]}],
    "a truth of text": [{"name": "a", "active": "no"}],
    "too many": [{"name": "a"}] * 300,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_stranger_s_loras_are_checked(edit, kind):
    """Every key and type; what is told of them has a cap."""
    table = edit().recipe.as_dict()
    table["model"]["loras"] = HOSTILE[kind]
    with pytest.raises(rh.InputError) as caught:
        parse_recipe(json.dumps(table).encode(), "bad.png")
    assert len(str(caught.value)) < 600
