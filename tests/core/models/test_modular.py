"""Modular pipelines of diffusers: taken as objects, and loaded from their index."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny
import torch
from diffusers import (
    AdaptiveProjectedGuidance,
    ClassifierFreeGuidance,
    ComponentSpec,
    Flux2KleinBaseModularPipeline,
    Flux2KleinModularPipeline,
    Flux2ModularPipeline,
    FluxKontextModularPipeline,
    ModularPipelineBlocks,
    QwenImage21ModularPipeline,
    QwenImage21TurboModularPipeline,
    QwenImageEditModularPipeline,
    QwenImageEditPlusModularPipeline,
    WanModularPipeline,
)
from diffusers.pipelines.flux import pipeline_flux_kontext
from huggingface_hub.errors import LocalEntryNotFoundError
from PIL import ImageChops

import refhooks as rh
from refhooks._parts import checkpoint_files
from refhooks_flux2._tiny import tiny_dev, tiny_klein
from refhooks_kontext._tiny import tiny_pipeline as tiny_kontext
from refhooks_qwen21._tiny import tiny_pipeline as tiny_21

SIDE = 64
SIGMAS = [1.0, 0.9, 0.75, 0.4]
INDEX = "modular_model_index.json"
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])


def modular(cls, stock, **settings):
    """A modular pipeline of the components of a stock one."""
    pipe = cls()
    parts = {name: part for name, part in stock.components.items() if name in pipe.component_names}
    pipe.update_components(**parts, **settings)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def turbo(dtype=torch.float32):
    """Qwen-Image 2.1 turbo."""
    return modular(QwenImage21TurboModularPipeline, tiny_21(dtype=dtype), sample_sigmas=SIGMAS)


# Class, how its components are made, what the call says, and the defaults: steps, scale.
MADE = {
    "qwen-image-edit": (
        QwenImageEditModularPipeline, lambda dtype: tiny.build("edit", "large", dtype=dtype),
        {"negative_prompt": " "}, (50, 4.0),
    ),
    "qwen-image-edit-plus": (
        QwenImageEditPlusModularPipeline, lambda dtype: tiny.build("plus", "large", dtype=dtype),
        {"negative_prompt": " "}, (50, 4.0),
    ),
    "qwen-image-21": (QwenImage21ModularPipeline, lambda dtype: tiny_21(dtype=dtype), {}, (40, 1)),
    "flux2-klein": (
        Flux2KleinModularPipeline, lambda dtype: tiny_klein(distilled=True, dtype=dtype), {},
        (50, 1.0),
    ),
    "flux2-klein base": (
        Flux2KleinBaseModularPipeline, lambda dtype: tiny_klein(dtype=dtype),
        {"negative_prompt": ""}, (50, 4.0),
    ),
    "flux2-dev": (Flux2ModularPipeline, lambda dtype: tiny_dev(dtype=dtype), {}, (50, 4.0)),
    "flux-kontext": (
        FluxKontextModularPipeline, lambda dtype: tiny_kontext(dtype=dtype), {}, (50, 3.5)
    ),
}  # fmt: skip


def blocks_run(pipe, pictures, **call):
    """Run the blocks; return the first picture."""
    call["max_area"] = SIDE**2  # of FLUX.1 Kontext, whose blocks scale every size to it
    call = {name: value for name, value in call.items() if name in pipe.blocks.input_names}
    return pipe(
        prompt="make it blue", image=pictures, height=SIDE, width=SIDE, output="images",
        generator=[torch.Generator().manual_seed(1)], **call,
    )[0].convert("RGBA")  # fmt: skip


@pytest.fixture
def small_blocks(monkeypatch):
    """Shrink what blocks make of pictures, as ``small_stock`` does for stock."""
    from diffusers.modular_pipelines.qwenimage import encoders as edit
    from diffusers.modular_pipelines.qwenimage21 import encoders as later

    table = [(64, 64), (96, 64)]
    monkeypatch.setattr(pipeline_flux_kontext, "PREFERRED_KONTEXT_RESOLUTIONS", table)
    for module in (edit, later):
        original = module.calculate_dimensions
        monkeypatch.setattr(
            module,
            "calculate_dimensions",
            lambda _area, ratio, original=original: original(tiny.AREA, ratio),
        )


@pytest.mark.usefixtures("small_stock", "small_blocks")
@DTYPES
@pytest.mark.parametrize("family", MADE)
def test_an_editor_on_it_is_the_blocks(family, dtype):
    """To the bit, in both dtypes, with the steps and the guidance that the blocks state."""
    cls, make, call, defaults = MADE[family]
    pipe = modular(cls, make(dtype))
    one = family in {"qwen-image-edit", "flux-kontext"}
    pictures = [tiny.picture(n, (96, 64)) for n in range(1 if one else 2)]
    own = rh.Checkpoint(reference=tiny.AREA, vision=tiny.AREA) if "qwen" in family else None
    editor = rh.Editor(pipe, checkpoint=own)
    editor.pipe.set_progress_bar_config(disable=True)

    result = editor.edit(
        pictures[0], "make it blue", references=pictures[1:], steps=2, seed=1, height=SIDE,
        width=SIDE, **call,
    )  # fmt: skip

    expected = blocks_run(pipe, pictures, num_inference_steps=2, **call)
    assert ImageChops.difference(expected, result.images[0].convert("RGBA")).getbbox() is None
    assert (editor.family.default_steps, editor.family.default_cfg) == defaults
    assert editor.family.name == family.split()[0]
    assert editor.family.transformer is pipe.transformer


@DTYPES
def test_fixed_noise_levels_are_kept(dtype):
    """Of turbo, whose number is that of its steps; without them it has those of its blocks."""
    pipe = turbo(dtype)
    editor = rh.Editor(pipe)
    editor.pipe.set_progress_bar_config(disable=True)
    picture = tiny.picture(0, (SIDE, SIDE))

    result = editor.edit(
        rh.Reference(picture, resolution=SIDE**2), "make it blue", seed=1, height=SIDE, width=SIDE
    )

    expected = blocks_run(pipe, [picture], output_resolution=SIDE)
    assert ImageChops.difference(expected, result.images[0]).getbbox(alpha_only=False) is None
    assert len(result.timetable.steps) == len(SIGMAS)
    pipe.update_components(sample_sigmas=None)
    assert rh.Editor(pipe).family.default_steps == 8


def test_what_the_caller_prescribes_comes_first():
    """Before what the blocks state."""
    pipe = modular(Flux2KleinBaseModularPipeline, tiny_klein())
    pipe.update_components(guider=ClassifierFreeGuidance(guidance_scale=2.5))

    editors = [rh.Editor(pipe, checkpoint=it) for it in (None, rh.Checkpoint(cfg=3.0, steps=7))]

    assert [it.family.default_cfg for it in editors] == [2.5, 3.0]
    assert [it.family.default_steps for it in editors] == [50, 7]


def test_kontext_without_embedded_guidance():
    """Its blocks then guide in no way, where an editor would by a second pass."""
    pipe = modular(FluxKontextModularPipeline, tiny_kontext(guided=False))

    with pytest.raises(rh.ModelError, match=r"guidance_embeds=false.*make a FluxKontextPipeline"):
        rh.Editor(pipe)


@pytest.mark.parametrize(
    ("guider", "message"),
    [
        (ClassifierFreeGuidance(start=0.2), "has start, stop="),
        (ClassifierFreeGuidance(guidance_rescale=0.5), "has guidance_rescale=0.5"),
        (ClassifierFreeGuidance(guidance_scale=0.5), "has guidance_scale=0.5"),
        (AdaptiveProjectedGuidance(), "is a AdaptiveProjectedGuidance"),
    ],
)
def test_guidance_that_no_editor_runs(guider, message):
    """Is refused when the editor is made, with what works."""
    pipe = modular(Flux2KleinBaseModularPipeline, tiny_klein())
    pipe.guider = guider

    with pytest.raises(rh.ModelError, match=f"{message}.*ClassifierFreeGuidance"):
        rh.Editor(pipe)


def test_guidance_that_is_off():
    """Is a scale of 1."""
    pipe = modular(Flux2KleinBaseModularPipeline, tiny_klein())
    pipe.guider = ClassifierFreeGuidance(guidance_scale=4.0, enabled=False)

    assert rh.Editor(pipe).family.default_cfg == 1.0


def test_missing_components_are_named():
    """With how to have them."""
    pipe = turbo()
    pipe.transformer = pipe.vae = None

    with pytest.raises(rh.ModelError, match=r"no vae, transformer; .*load_components\(\).*update_"):
        rh.Editor(pipe)


class Extra(ModularPipelineBlocks):
    """A block that somebody added."""

    def __call__(self, components, state):
        """Do nothing."""
        return components, state


def test_blocks_that_an_editor_would_leave_out():
    """Are named; one workflow of diffusers' own is taken."""
    pipe = modular(Flux2KleinModularPipeline, tiny_klein(distilled=True))
    pipe._blocks.sub_blocks.insert("extra", Extra(), 1)
    with pytest.raises(rh.ModelError, match="runs Extra, which Flux2KleinAutoBlocks of diffusers"):
        rh.Editor(pipe)

    part = modular(
        lambda: Flux2KleinModularPipeline(workflow="image_conditioned"), tiny_klein(distilled=True)
    )
    assert rh.Editor(part).family.name == "flux2-klein"


def test_a_class_that_nobody_adapts():
    """Is told with those that are."""
    with pytest.raises(rh.ModelError, match=r"WanModularPipeline: no plugin.*Turbo.*Pipeline"):
        rh.Editor(WanModularPipeline())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Turbo in bfloat16, as its repository has it: no index but the modular one."""
    place = tmp_path_factory.mktemp("turbo")
    pipe = turbo(torch.bfloat16)
    pipe.save_pretrained(str(place), overwrite_modular_index=True)
    return place


def test_it_loads_from_its_index(folder):
    """In the type of its files, with its noise levels; so does a plan without weights."""
    editor = rh.Editor.from_pretrained(folder)
    bare = rh.Editor.from_pretrained(folder, weights=False)
    editor.pipe.set_progress_bar_config(disable=True)

    assert not (folder / "model_index.json").exists()
    parts = {editor.pipe.vae.dtype, editor.pipe.transformer.dtype, editor.pipe.text_encoder.dtype}
    assert parts == {torch.bfloat16}
    assert (editor.family.name, editor.family.default_steps) == ("qwen-image-21", 4)
    assert (bare.family.name, bare.family.default_steps) == ("qwen-image-21", 4)
    assert bare.pipe.transformer.num_parameters() == editor.pipe.transformer.num_parameters()
    options = {"seed": 1, "height": SIDE, "width": SIDE}
    picture = rh.Reference(tiny.picture(), resolution=SIDE**2)
    stock = tiny_21(dtype=torch.bfloat16, sample_sigmas=SIGMAS)
    stock.set_progress_bar_config(disable=True)
    expected = rh.Editor(stock).edit(picture, "blue", **options).latents
    # What is read from a file lies elsewhere in memory, for which a CPU may round otherwise.
    result = editor.edit(picture, "blue", **options).latents
    torch.testing.assert_close(result, expected, atol=0.1, rtol=0)


def test_a_component_and_a_file_are_handed_over(folder, tmp_path):
    """A loaded part by its name, and the transformer's weights from a single file."""
    vae = tiny_21(dtype=torch.bfloat16).vae
    [weights] = (folder / "transformer").glob("*.safetensors")
    file = shutil.copy(weights, tmp_path / "own.safetensors")

    editor = rh.Editor.from_pretrained(folder, vae=vae, transformer=file)

    assert editor.pipe.vae is vae
    assert editor.pipe.transformer.dtype == torch.bfloat16
    with pytest.raises(rh.ModelError, match="takes no custom_pipeline; its components are image_p"):
        rh.Editor.from_pretrained(folder, custom_pipeline="x")


def changed(folder, place, change):
    """A copy of a folder, with another index."""
    shutil.copytree(folder, place)
    index = json.loads((place / INDEX).read_text())
    change(index)
    (place / INDEX).write_text(json.dumps(index))
    return place


def entry(part, **values):
    """A change to how a component is loaded."""

    def change(index):
        index[part][2].update(values)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry("transformer", type_hint=["os", "system"]), "names os.system for its transformer"),
        (entry("vae", type_hint=["transformers", "AutoModel"]), "names transformers.AutoModel"),
        (entry("vae", type_hint=["diffusers", "AutoModel"]), "names diffusers.AutoModel for"),
        (lambda index: index.update(vae=["own.code", "Vae", index["vae"][2]]), "own.code.Vae"),
        (entry("vae", pretrained_model_name_or_path="https://a.b/c.safetensors"), "neither a"),
        (entry("vae", subfolder="../vae"), "no place"),
        (lambda index: index.update(vae="x"), "must be library, class and how it is loaded"),
        (lambda index: index.update(_blocks_class_name="Own"), "of the blocks 'Own'"),
        (lambda index: index.update(_class_name="OwnPipeline"), "is a OwnPipeline: no plugin"),
        (lambda index: index.update(sample_sigmas="abc"), "sample_sigmas must be noise levels"),
    ],
)  # fmt: skip
def test_an_index_selects_no_code(folder, tmp_path, change, message):
    """A class that blocks do not expect, blocks of its own, a place that is none: all refused."""
    with pytest.raises(rh.ModelError, match=message):
        rh.Editor.from_pretrained(changed(folder, tmp_path / "changed", change))


def test_code_beside_an_index_is_not_run(folder, tmp_path):
    """Neither blocks that ``auto_map`` names nor a processor's; nothing is asked, either."""
    place = tmp_path / "own"
    shutil.copytree(folder, place)
    auto = {"ModularPipelineBlocks": "own.Own", "AutoProcessor": "own.Own"}
    for name in ("config.json", "modular_config.json", "processor/processor_config.json"):
        known = json.loads((place / name).read_text()) if (place / name).exists() else {}
        (place / name).write_text(json.dumps({**known, "auto_map": auto}))
    (place / "own.py").write_text("raise SystemExit('run')")

    assert rh.Editor.from_pretrained(place).family.name == "qwen-image-21"


def test_a_component_that_is_nowhere_is_named(folder, tmp_path):
    """With how to hand it over."""

    def change(index):
        index["vae"][2]["pretrained_model_name_or_path"] = None

    place = changed(folder, tmp_path / "changed", change)
    shutil.rmtree(place / "vae")

    with pytest.raises(rh.ModelError, match=r"does not say where its vae is.*vae=\.\.\."):
        rh.Editor.from_pretrained(place)


def test_a_repository_that_is_cached_loads_offline(folder, monkeypatch):
    """Where the Hub cannot say whether it has another index; its parts are where it says."""

    def cached(name, place, **_):
        assert name == "owner/turbo"
        if not (folder / place).exists():
            raise LocalEntryNotFoundError("offline")
        return str(folder / place)

    monkeypatch.setattr(checkpoint_files, "hf_hub_download", cached)

    editor = rh.Editor.from_pretrained("owner/turbo")

    assert editor.family.name == "qwen-image-21"
    assert editor.model.base == "owner/turbo"


def test_a_stock_index_comes_first(folder, tmp_path):
    """Where a family adapts it; else the modular one."""
    place = tmp_path / "both"
    shutil.copytree(folder, place)
    (place / "model_index.json").write_text('{"_class_name": "SomethingNewPipeline"}')

    assert rh.Editor.from_pretrained(place, weights=False).family.name == "qwen-image-21"


def test_every_modular_class_is_one_of_diffusers():
    """And what it is made of takes components that its blocks expect, or settings."""
    import diffusers

    for family in rh.load_registry().families.values():
        for name in family.modular:
            blocks = getattr(diffusers, getattr(diffusers, name).default_blocks_name)()
            assert all(isinstance(spec, ComponentSpec) for spec in blocks.expected_components)


def test_a_repository_of_which_nothing_is_cached_says_how_to_fetch_it(monkeypatch):
    """Offline, neither index is there: that is said, and nothing of an index without a class."""

    def offline(*_, **__):
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(checkpoint_files, "hf_hub_download", offline)

    with pytest.raises(rh.ModelError, match=r"not on this machine.*hf download owner/turbo"):
        rh.Editor.from_pretrained("owner/turbo")
