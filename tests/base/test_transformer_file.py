"""A transformer from a single file: every layout, and every family."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings

import pytest
import tiny
import torch
import weight_layouts
from diffusers import QwenImageEditPlusPipeline
from safetensors.torch import load_file
from weight_layouts import LAYOUTS, REFUSED, plain, save, scaled

import refhooks as rh
from refhooks._base.weight_files import transformer
from refhooks._base.weight_files.opening import open_weights
from refhooks._base.weight_files.transformer import load_transformer_file
from refhooks_qwen21._tiny import tiny_pipeline as tiny21

FAMILIES = {
    "edit": lambda: tiny.build("edit", "middle"),
    "plus": lambda: tiny.build("plus", "middle"),
    "2.1": tiny21,
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FP8 = torch.float8_e4m3fn


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of each family."""
    places = {}
    for name, build in FAMILIES.items():
        places[name] = tmp_path_factory.mktemp("model")
        build().save_pretrained(places[name])
    return places


@pytest.fixture
def folder(folders):
    """Of Qwen-Image-Edit-Plus, in float32."""
    return folders["plus"]


def state_of(place):
    """The weights of a checkpoint's transformer, random where they begin as ones or zeros."""
    generator = torch.Generator().manual_seed(0)
    [file] = (place / "transformer").glob("*.safetensors")
    return {
        name: torch.randn(value.shape, generator=generator) * 0.1
        for name, value in sorted(load_file(file).items())
    }


def load(path, place, dtype=torch.float32):
    """The transformer with the weights of a file."""
    index = json.loads((place / "model_index.json").read_text())
    return load_transformer_file(path, str(place), index, dtype=dtype, device=None, options={})


def weights_of(model):
    """What it holds, dequantised where it is quantised."""
    values = {}
    for name, value in model.state_dict().items():
        if hasattr(value, "quant_type"):
            from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor

            dtype = model.hf_quantizer.compute_dtype
            values[name] = dequantize_gguf_tensor(value).to(dtype)
        else:
            values[name] = value.detach()
    return values


def assert_weights(model, expected, dtype):
    """All weights are these, rounded once, to the bit."""
    found = weights_of(model)
    assert expected.keys() == found.keys()
    wrong = [
        name
        for name, value in expected.items()
        if found[name].dtype != dtype or not torch.equal(value.to(dtype), found[name])
    ]
    assert wrong == []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_its_weights_to_the_bit(folder, tmp_path, name, dtype):
    """In every dtype that a model runs in."""
    layout = LAYOUTS[name]
    path = tmp_path / f"model{layout.suffix}"
    expected = layout.write(state_of(folder), path)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", rh.RefhooksWarning)
        model = load(path, folder, DTYPES[dtype])

    assert_weights(model, expected, DTYPES[dtype])
    assert [layout.warns in str(it.message) for it in said] == [True] * bool(layout.warns)
    assert not model.training


@pytest.mark.parametrize("layout", ["comfy", "scaled fp8 of ComfyUI", "int8 by rows", "GGUF Q8_0"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_it(folders, tmp_path, family, layout):
    """Names are compared with the model's own."""
    place, chosen = folders[family], LAYOUTS[layout]
    path = tmp_path / f"model{chosen.suffix}"
    expected = chosen.write(state_of(place), path)

    assert_weights(load(path, place, torch.bfloat16), expected, torch.bfloat16)


@pytest.mark.parametrize("form", ["plain", "scaled"])
def test_a_layout_that_diffusers_converts(folders, tmp_path, form):
    """Gate and projection of Qwen-Image 2.1 in one weight, as ComfyUI has them."""
    state = state_of(folders["2.1"])
    fused = {}
    for name, value in state.items():
        if "img_mlp.gate_layer" in name:
            other = state[name.replace("gate_layer", "proj")]
            fused[name.replace("gate_layer", "gate_up")] = torch.cat([value, other])
        elif "img_mlp.proj" not in name:
            fused[name] = value
    path = tmp_path / "fused.safetensors"
    write = plain("model.diffusion_model.") if form == "plain" else scaled(FP8, "row")
    written = write(fused, path)

    expected = {}
    for name, value in written.items():
        if "gate_up" in name:
            gate, up = value.chunk(2)
            expected[name.replace("gate_up", "gate_layer")] = gate
            expected[name.replace("gate_up", "proj")] = up
        else:
            expected[name] = value
    assert_weights(load(path, folders["2.1"]), expected, torch.float32)


def test_large_weights_are_read_in_parts(tmp_path):
    """The same values as at once, for each shape of scales, and as another device's."""
    from refhooks._base.weight_files.reading import CHUNK, Reader
    from refhooks._base.weight_files.scales import checked_scale

    codes = torch.randn(1030, 1026).mul(100).to(FP8)
    scales = {"one": torch.tensor(0.013), "rows": torch.rand(1030) + 0.01,
              "blocks": torch.rand(5, 513) + 0.01}  # fmt: skip
    save({"w": codes, **scales}, tmp_path / "w.safetensors")
    file = open_weights(tmp_path / "w.safetensors")
    entry = file.entries["w"]
    assert entry.size > 2**20 >= 2 * CHUNK
    for dtype in DTYPES.values():
        for name, scale in scales.items():
            checked = checked_scale(file, entry, scale, {})
            rows = scale.reshape(-1, 1) if name == "rows" else scale
            if name == "blocks":
                rows = scale.repeat_interleave(206, 0).repeat_interleave(2, 1)
            expected = (codes.float() * rows).to(dtype)
            with file.path.open("rb", buffering=0) as opened:
                reader = Reader(file, opened)
                assert torch.equal(expected, reader.values(entry, entry.kind, dtype, checked))
                reader._device = torch.device("meta")
                assert reader.values(entry, entry.kind, dtype, checked).shape == expected.shape


@pytest.mark.parametrize("kind", [FP8, torch.float8_e5m2, torch.int8])
def test_every_code_is_what_torch_says(tmp_path, kind):
    """Also NaN, infinity and what is below the smallest normal number, under any scale."""
    from refhooks._base.weight_files.reading import Reader
    from refhooks._base.weight_files.scales import checked_scale

    codes = torch.arange(256, dtype=torch.uint8).view(kind).repeat(2, 1)
    scales = {f"{scale}": torch.tensor(scale) for scale in (1e-45, 1e-30, 1 / 3, 3e37, 3e38)}
    scales |= {"rows": torch.tensor([[1 / 7], [3e38]]), "columns": torch.rand(1, 256) + 0.01}
    save(
        {"w": codes, "none": codes[0], "one": codes[0, 1].reshape(()), **scales},
        tmp_path / "w.safetensors",
    )
    file = open_weights(tmp_path / "w.safetensors")
    with file.path.open("rb", buffering=0) as opened:
        reader = Reader(file, opened)
        for dtype in DTYPES.values():
            for name in ("none", "one"):
                entry = file.entries[name]
                found = reader.values(entry, entry.kind, dtype, None)
                expected = reader.plain(entry).float().to(dtype)
                torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
            for scale in scales.values():
                entry = file.entries["w"]
                checked = checked_scale(file, entry, scale, {})
                found = reader.values(entry, entry.kind, dtype, checked)
                expected = (codes.float() * scale).to(dtype)
                torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused(folder, tmp_path, name):
    """In one sentence, with the file and what it is."""
    refused = REFUSED[name]
    path = tmp_path / f"model{refused.suffix}"
    refused.write(state_of(folder), path)

    with pytest.raises(rh.ModelError) as error:
        load(path, folder)
    assert str(error.value).startswith(f"{path}: ")
    assert refused.says in str(error.value)
    assert len(str(error.value)) < 700 + len(str(path))


@pytest.mark.usefixtures("small_stock")
@pytest.mark.parametrize("kind", ["scaled fp8 of ComfyUI", "int8 by rows", "GGUF Q8_0", "plain"])
def test_an_editor_takes_a_file(folder, tmp_path, kind):
    """And gives the stock pipeline's latents with the same transformer."""
    layout = LAYOUTS[kind]
    path = tmp_path / f"my-model{layout.suffix}"
    layout.write(state_of(folder), path)

    editor = rh.Editor.from_pretrained(folder, transformer=path)
    editor.pipe.set_progress_bar_config(disable=True)
    stock = editor.pipe(
        image=[tiny.picture()], prompt="make it blue", negative_prompt=" ", num_inference_steps=2,
        height=48, width=64, generator=torch.Generator().manual_seed(1), output_type="latent",
    ).images  # fmt: skip
    found = editor.edit(tiny.picture(), "make it blue", steps=2, seed=1, height=48, width=64)

    assert torch.equal(stock, found.latents)
    file = found.recipe.model.transformer
    assert (file.name, file.sha256) == (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    assert found.recipe.model.dtype == "float32"


def test_a_loaded_transformer_is_taken_as_it_is(folder):
    """As by diffusers."""
    own = tiny.build("plus", "middle").transformer

    assert rh.Editor.from_pretrained(folder, transformer=own).pipe.transformer is own


@pytest.mark.parametrize("kind", ["plain", "scaled fp8", "GGUF Q8_0"])
def test_without_weights_a_file_is_checked(folder, tmp_path, kind, monkeypatch):
    """Its header alone is read; of a GGUF the memory that it takes is known."""
    layout = LAYOUTS[kind]
    path = tmp_path / f"model{layout.suffix}"
    layout.write(state_of(folder), path)
    monkeypatch.setattr(transformer, "fill", None)

    editor = rh.LoadedModel.from_pretrained(folder, weights=False, transformer=path)
    costs = rh.cost(rh.Stage("default"), 4, editor=editor, height=32, width=32)

    entries = open_weights(path).entries.values()
    expected = sum(it.size for it in entries) if kind.startswith("GGUF") else (
        4 * editor.family.transformer.num_parameters()
    )  # fmt: skip
    assert costs.shape.weight_bytes == pytest.approx(expected, rel=0.01)
    with pytest.raises(rh.ModelError, match="another model"):
        rh.LoadedModel.from_pretrained(
            folder, weights=False, transformer=other_model(folder, tmp_path)
        )


def other_model(folder, tmp_path):
    """The file of one."""
    path = tmp_path / "other.safetensors"
    weight_layouts.renamed("transformer_blocks.", "double_blocks.")(state_of(folder), path)
    return path


def test_the_mark_of_2511_is_told_to_another_checkpoint(folder, tmp_path):
    """It changes no weight; here the references would be modulated otherwise."""
    path = tmp_path / "2511.safetensors"
    mark = {"model.diffusion_model.__index_timestep_zero__": torch.zeros(())}
    expected = plain("model.diffusion_model.", also=mark)(state_of(folder), path)

    with pytest.warns(rh.RefhooksWarning, match=r"zero_cond_t=True, and .* has False"):
        model = load(path, folder)
    assert_weights(model, expected, torch.float32)


def test_quantising_while_loading_is_for_the_other_parts(folder, tmp_path, monkeypatch):
    """Diffusers would leave the transformer as it is without a word."""
    path = tmp_path / "model.safetensors"
    plain()(state_of(folder), path)
    given = {}
    monkeypatch.setattr(
        QwenImageEditPlusPipeline,
        "from_pretrained",
        lambda _name, **options: given.update(options) or tiny.build("plus", "middle"),
    )

    with pytest.warns(rh.RefhooksWarning, match="is not the transformer: it is as .*model"):
        rh.Editor.from_pretrained(folder, transformer=path, quantization_config=object())
    assert given["transformer"].dtype == torch.float32


def test_a_toy_takes_no_file(toy, tmp_path):
    """It comes with its weights."""
    with pytest.raises(rh.ModelError, match=r"toy comes with refhooks and takes no transformer"):
        rh.Editor.from_pretrained("toy", transformer=tmp_path / "x.gguf")


def test_gguf_needs_its_package(folder, tmp_path, monkeypatch):
    """Which the line names."""
    path = tmp_path / "model.gguf"
    LAYOUTS["GGUF Q8_0"].write(state_of(folder), path)
    monkeypatch.setitem(sys.modules, "gguf", None)

    with pytest.raises(
        rh.ModelError, match=r'gguf; install it with: pip install "refhooks\[gguf\]"'
    ):
        load(path, folder)


@pytest.mark.parametrize("name", ["model.gguf", "model.safetensors"])
@pytest.mark.parametrize("there", [True, False])
def test_a_file_given_as_the_model(folder, tmp_path, monkeypatch, name, there):
    """Says that it is one, and how it is given."""
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / name).write_bytes(b"GGUF")
    says = rf"{name} is a single file.*--transformer {name}" if there else f"{name}: there is no"

    with pytest.raises(rh.ModelError, match=says):
        rh.Editor.from_pretrained(name)
