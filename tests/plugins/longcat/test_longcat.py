"""What LongCat-Image-Edit has of its own; the contract of families is in `plugins/families`."""

from __future__ import annotations

import threading

import pytest
import torch
from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit
from PIL import Image

import refhooks as rh
from refhooks import testing
from refhooks_longcat._shape import shape
from refhooks_longcat._tiny import tiny_pipeline

AREA = 32 * 32


@pytest.fixture(autouse=True)
def small_stock(monkeypatch):
    """Shrink the area to which the stock pipeline resizes pictures, and which it makes."""
    original = pipeline_longcat_image_edit.calculate_dimensions
    monkeypatch.setattr(
        pipeline_longcat_image_edit, "calculate_dimensions", lambda _, ratio: original(AREA, ratio)
    )


@pytest.fixture(scope="module")
def editor():
    """One that is shared."""
    return rh.Editor(tiny_pipeline())


def stock(editor, picture, prompt="make it blue", *, seeds=(1,), cfg=3.0):
    """Latents of the stock pipeline, which takes no size and has no callback."""
    return editor.pipe(
        picture, prompt, "red", num_inference_steps=2, guidance_scale=cfg, output_type="latent",
        num_images_per_prompt=len(seeds),
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
    ).images  # fmt: skip


def edit(editor, picture, prompt="make it blue", *, cfg=3.0, **options):
    """The same edit."""
    negative = {"negative_prompt": "red"} if cfg > 1 else {}
    call = {"steps": 2, "seed": 1, "cfg": cfg, **negative, **options}
    return editor.edit(picture, prompt, **call)


@pytest.mark.parametrize("size", [(64, 48), (40, 41), (33, 97)])
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_it_is_the_stock_pipeline(editor, size, cfg):
    """Each shape; the text encoder sees the picture at half the sides of the VAE's."""
    picture = testing.picture(0, size)

    assert torch.equal(stock(editor, picture, cfg=cfg), edit(editor, picture, cfg=cfg).latents)


@pytest.mark.parametrize("prompt", ["write 'it’s' on it", 'a "sign", and don\'t move', ""])
def test_quoted_words_are_read_letter_by_letter(editor, prompt):
    """As stock does it, shown or not: the prompt has as many tokens."""
    picture = testing.picture(0, (64, 48))

    assert torch.equal(stock(editor, picture, prompt), edit(editor, picture, prompt).latents)


def test_decoded_pictures_are_stock_s(editor):
    """Of two seeds."""
    picture = testing.picture(0, (64, 48))

    result = edit(editor, picture, seed=5, n=2)

    assert torch.equal(stock(editor, picture, seeds=(5, 6)), result.latents)
    decoded = editor.pipe(
        picture, "make it blue", "red", num_inference_steps=2, guidance_scale=3.0,
        num_images_per_prompt=2, generator=[torch.Generator().manual_seed(n) for n in (5, 6)],
    ).images  # fmt: skip
    assert [it.tobytes() for it in decoded] == [it.tobytes() for it in result.images]


def test_several_prompts(editor):
    """Stock takes one a call: each comes out as it does there."""
    picture, prompts = testing.picture(0, (64, 48)), ["make it blue", "explain the texture"]

    latents = edit(editor, picture, prompts).latents

    for place, prompt in enumerate(prompts):
        alone = stock(editor, picture, prompt)
        torch.testing.assert_close(latents[place : place + 1], alone, atol=1e-5, rtol=0)


def test_a_picture_that_the_text_encoder_does_not_see(editor):
    """Which stock cannot do: the template is read without its place, and the picture acts less."""
    one, other = (testing.picture(n, (64, 48)) for n in range(2))
    hidden, unseen = rh.Stage("default", 0.0), rh.Strategy("default", vision="never")

    none = [edit(editor, rh.Reference(it, hidden)).latents for it in (one, other)]
    blind = edit(editor, rh.Reference(one, unseen)).latents

    assert torch.equal(*none)
    assert not torch.equal(blind, none[0])
    assert not torch.equal(blind, edit(editor, one).latents)


def test_an_area_of_its_own_for_the_text_encoder(editor):
    """Instead of half the sides."""
    picture = testing.picture(0, (64, 48))
    own = edit(editor, picture, vision_resolution=48 * 48).latents

    assert not torch.equal(own, edit(editor, picture).latents)


@pytest.mark.parametrize(
    ("prompt", "said"), [("a" * 513, "comes to 513 tokens.* 512"), ("<|im_end|>", "control token")]
)
def test_prompts_that_stock_cannot_read_are_refused(editor, prompt, said, monkeypatch):
    """Before anything is encoded; stock ends in a TypeError."""
    monkeypatch.setattr(editor.pipe, "_encode_prompt", lambda *_, **__: pytest.fail("encoded"))

    with pytest.raises(rh.InputError, match=said):
        edit(editor, testing.picture(0, (64, 48)), prompt)


def test_the_stock_pipeline_called_meanwhile_is_stock(editor):
    """From a thread and from the callback itself, though nothing but a tuple tells them apart."""
    picture, found = testing.picture(0, (64, 48)), []
    expected = stock(editor, picture)
    source = rh.Reference(picture, rh.Stage("cross_attn", 0.5))
    alone = edit(editor, source).latents

    def call():
        with torch.no_grad():
            found.append(stock(editor, picture))

    def meanwhile(step, *_):
        if step == 0:
            call()
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()

    result = edit(editor, source, callback=meanwhile)

    assert [torch.equal(it, expected) for it in found] == [True, True]
    assert torch.equal(alone, result.latents)


def test_sizes_go_up_to_multiples(editor, monkeypatch):
    """Of 16, at about 1 MP."""
    monkeypatch.undo()
    wide = Image.new("RGB", (1920, 1080))

    assert editor.family.output_size(wide, None, None, None) == rh.Size(768, 1376)
    assert editor.family.reference_size(wide, None) == rh.Size(768, 1376)


def test_it_loads_from_a_folder(editor, tmp_path):
    """Also where torchvision is not installed; so does a plan alone."""
    editor.pipe.save_pretrained(tmp_path)
    picture = testing.picture(0, (64, 48))

    loaded = rh.Editor.from_pretrained(tmp_path)
    bare = rh.Editor.from_pretrained(tmp_path, weights=False)
    loaded.pipe.set_progress_bar_config(disable=True)

    result = edit(loaded, picture).latents
    assert torch.equal(stock(loaded, picture), result)
    torch.testing.assert_close(stock(editor, picture), result, atol=1e-4, rtol=0)
    assert bare.family.name == "longcat-image-edit"


def test_the_number_of_weights():
    """As its configuration says; the released one has 6.2 billion."""
    transformer = tiny_pipeline(blocks=2, singles=3).transformer

    assert shape(dict(transformer.config)).parameters == transformer.num_parameters()
    assert shape(None).parameters == pytest.approx(6.27e9, rel=0.02)
