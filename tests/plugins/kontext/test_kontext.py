"""What FLUX.1 Kontext has of its own; the contract of all families is in `plugins/families`."""

from __future__ import annotations

import pytest
import torch
from diffusers.pipelines.flux import pipeline_flux_kontext
from PIL import Image
from results import assert_equal

import refhooks as rh
from refhooks import testing
from refhooks_kontext._shape import shape
from refhooks_kontext._tiny import tiny_pipeline

SIDE = 32
SIZE = {"height": SIDE, "width": SIDE}


@pytest.fixture(autouse=True)
def small_table(monkeypatch):
    """Sizes that a test can afford, of three shapes."""
    table = [(32, 32), (48, 32), (32, 48)]
    monkeypatch.setattr(pipeline_flux_kontext, "PREFERRED_KONTEXT_RESOLUTIONS", table)


@pytest.fixture(scope="module")
def editor():
    """One whose guidance is an input of the model."""
    return rh.Editor(tiny_pipeline())


def stock(editor, picture, prompt="make it blue", *, seeds=(1,), **options):
    """Latents and pictures of the stock pipeline, which scales every size to its area."""
    seen = {}
    call = {"num_images_per_prompt": len(seeds), **SIZE, **options}
    images = editor.pipe(
        image=picture, prompt=prompt, num_inference_steps=2, max_area=SIDE**2, **call,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        callback_on_step_end=lambda _pipe, _step, _t, tensors: seen.update(tensors) or tensors,
    ).images  # fmt: skip
    return seen["latents"], images


@pytest.mark.parametrize("size", [None, (64, 48), (40, 41), (20, 90)])
def test_it_is_the_stock_pipeline(editor, size):
    """With no picture, and with one of each shape of the table."""
    picture = None if size is None else testing.picture(0, size)

    result = editor.edit(picture, "make it blue", steps=2, seed=1, **SIZE)

    assert_equal(stock(editor, picture), result)


def test_several_prompts_and_seeds(editor):
    """Each prompt is summed up by CLIP as well."""
    picture, prompts = testing.picture(0, (64, 48)), ["make it blue", "explain the texture"]
    expected = stock(editor, picture, prompts, seeds=(5, 6, 5, 6), num_images_per_prompt=2)

    result = editor.edit(picture, prompts, steps=2, seed=5, n=2, **SIZE)

    assert_equal(expected, result)


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_guidance_is_an_input(editor, scale):
    """By stock's default 3.5; there is no second pass, and nobody reads a negative prompt."""
    picture = testing.picture(0, (64, 48))

    result = editor.edit(picture, "make it blue", steps=2, seed=1, cfg=scale, **SIZE)

    assert_equal(stock(editor, picture, guidance_scale=scale), result)
    assert editor.family.default_cfg == 3.5
    with pytest.raises(rh.InputError, match="negative"):
        editor.edit(picture, "make it blue", negative_prompt="red", **SIZE)


def test_without_that_input_there_is_a_second_pass():
    """What stock calls `true_cfg_scale`."""
    own, picture = rh.Editor(tiny_pipeline(guided=False)), testing.picture(0, (64, 48))
    options = {"negative_prompt": "red"}

    result = own.edit(picture, "make it blue", steps=2, seed=1, cfg=2.0, **options, **SIZE)

    assert_equal(stock(own, picture, true_cfg_scale=2.0, **options), result)
    assert own.family.guidance_kind == "true"


def test_sizes_are_those_of_the_table(editor, monkeypatch):
    """Of the picture, and of the output where nothing says it; an area or a size is kept."""
    monkeypatch.undo()
    family, wide = editor.family, Image.new("RGB", (1920, 1080))

    assert family.reference_size(wide, None) == rh.Size(752, 1392)
    assert family.output_size(wide, None, None, None) == rh.Size(752, 1392)
    assert family.output_size(None, None, None, None) == rh.Size(1024, 1024)
    assert family.output_size(wide, 512, 768, None) == rh.Size(512, 768)
    assert family.reference_size(wide, 512 * 512).width < 700


@pytest.mark.parametrize(
    ("prompt", "said"),
    [("a" * 513, "comes to 513 tokens.* 512"), ("</s>", "control token")],
)
def test_prompts_that_stock_would_cut_are_refused(editor, prompt, said, monkeypatch):
    """Before anything is encoded."""
    monkeypatch.setattr(editor.pipe, "encode_prompt", lambda *_, **__: pytest.fail("encoded"))

    with pytest.raises(rh.InputError, match=said):
        editor.edit(testing.picture(0, (64, 48)), prompt, **SIZE)


def test_foreign_attention_is_refused_before_anything_is_encoded(monkeypatch):
    """Of a block of one stream, as an IP adapter has it of all; with what works."""
    own = rh.Editor(tiny_pipeline())
    module = own.pipe.transformer.single_transformer_blocks[0].attn

    class Other(type(module.processor)):
        pass

    module.set_processor(Other())
    monkeypatch.setattr(own.pipe, "encode_prompt", lambda *_, **__: pytest.fail("encoded"))
    source = rh.Reference(testing.picture(0, (64, 48)), rh.Stage("cross_attn", 0.5))

    with pytest.raises(rh.InputError, match=r"cross_attn.*Other.*What works"):
        own.edit(source, "make it blue", **SIZE)


def test_where_the_model_places_the_picture(editor):
    """On a frame of its own; on the target's, in its place or beside it: three results."""
    picture = testing.picture(0, (64, 48))
    stages = [
        rh.Stage(rh.method("default", positions=name)) for name in ("native", "same", "offset")
    ]

    latents = [
        editor.edit(rh.Reference(picture, stage), "blue", steps=2, seed=1, **SIZE).latents
        for stage in stages
    ]

    assert len({float(it.sum()) for it in latents}) == 3


def test_it_loads_from_a_folder(editor, tmp_path):
    """So does a plan alone."""
    editor.pipe.save_pretrained(tmp_path)
    picture = testing.picture(0, (64, 48))

    loaded = rh.Editor.from_pretrained(tmp_path)
    bare = rh.Editor.from_pretrained(tmp_path, weights=False)
    loaded.pipe.set_progress_bar_config(disable=True)

    result = loaded.edit(picture, "make it blue", steps=2, seed=1, **SIZE)
    assert_equal(stock(loaded, picture), result)
    torch.testing.assert_close(stock(editor, picture)[0], result.latents, atol=1e-4, rtol=0)
    assert bare.family.name == "flux-kontext"


@pytest.mark.parametrize("guided", [True, False])
def test_the_number_of_weights(guided):
    """As its configuration says; the released one has 11.9 billion."""
    transformer = tiny_pipeline(guided=guided, blocks=2, singles=3).transformer

    assert shape(dict(transformer.config)).parameters == transformer.num_parameters()
    assert shape(None).parameters == pytest.approx(11.9e9, rel=0.01)
