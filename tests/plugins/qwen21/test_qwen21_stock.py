"""With no strategy the output is the stock QwenImage21Pipeline's, to the bit."""

from __future__ import annotations

import pytest
import torch
from PIL import Image, ImageChops
from small21 import SIDE, Small, rgb, rgba

import refhooks as rh
from refhooks import testing


def assert_equal(expected, result):
    """Compare latents and pictures to the bit, with their transparency."""
    latents, pictures = expected
    assert torch.equal(latents, result.latents)
    assert len(pictures) == len(result.images)
    for ours, theirs in zip(result.images, pictures, strict=True):
        assert (ours.mode, theirs.mode) == ("RGBA", "RGBA")
        assert ImageChops.difference(ours, theirs).getbbox(alpha_only=False) is None


@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_it_is_the_stock_pipeline(small, count, cfg):
    """Every number of references, with and without guidance, cache on as stock has it."""
    pictures = rgb(count)

    assert_equal(small.stock(pictures, cfg=cfg), small.edit(pictures, cfg=cfg))


@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_it_is_the_stock_pipeline_in_bfloat16(small_bf16, count, cfg):
    """Where keeping keys and values is another order of rounding than computing them anew."""
    pictures = rgb(count)

    assert_equal(small_bf16.stock(pictures, cfg=cfg), small_bf16.edit(pictures, cfg=cfg))


@pytest.mark.parametrize(("height", "width"), [(32, 96), (96, 64), (64, 128)])
def test_sizes(small, height, width):
    """Of the output, beside references of other sizes."""
    pictures, size = rgb(2), {"height": height, "width": width}

    assert_equal(small.stock(pictures, **size), small.edit(pictures, **size))


@pytest.mark.parametrize("count", [1, 2])
def test_transparent_pictures(small, count):
    """The VAE reads four channels; the text encoder sees them on white."""
    pictures = rgba(count)

    result = small.edit(pictures)

    assert_equal(small.stock(pictures), result)
    flat = [picture.convert("RGB") for picture in pictures]
    assert not torch.equal(result.latents, small.edit(flat).latents)


def test_a_transparent_picture_from_a_file(small, tmp_path):
    """It is read with its transparency, and what comes out is written with it; JPEG is flat."""
    rgba(1)[0].save(tmp_path / "in.png")

    result = small.edit([tmp_path / "in.png"])
    written = [result.save(tmp_path / name)[0] for name in ("out.png", "out.jpg")]

    assert_equal(small.stock(rgba(1)), result)
    assert [Image.open(path).convert("RGBA").getextrema()[3][0] < 255 for path in written] == [
        True,
        False,
    ]


def test_padded_prompts_and_several_pictures(small):
    """Two prompts of different length with two seeds each, guided."""
    pictures, prompts = rgb(2), ["make it blue", "explain the texture"]
    call = {"num_images_per_prompt": 2, "negative_prompt": ["red", "green and red"]}
    expected = small.stock(pictures, prompts, cfg=3.0, seeds=(5, 6, 5, 6), **call)

    result = small.editor.edit(
        pictures[0], prompts, references=pictures[1:], cfg=3.0, steps=3, seed=5, n=2,
        negative_prompt=call["negative_prompt"], height=SIDE, width=SIDE,
    )  # fmt: skip

    assert_equal(expected, result)


def test_it_loads_from_a_folder(small, tmp_path):
    """Also where torchvision is not installed, in the type of its files; so does a plan alone."""
    small.pipe.save_pretrained(tmp_path)

    editor = rh.Editor.from_pretrained(tmp_path)
    bare = rh.Editor.from_pretrained(tmp_path, weights=False)
    editor.pipe.set_progress_bar_config(disable=True)

    size = {"height": SIDE, "width": SIDE, "resolution": None}
    picture = rh.Reference(rgb(1)[0], resolution=SIDE**2)
    result = editor.edit(picture, "make it blue", steps=3, seed=1, **size)
    assert torch.equal(result.latents, small.stock(rgb(1))[0])
    assert bare.family.name == "qwen-image-21"


def test_a_negative_prompt_without_guidance_is_warned_of(small):
    """The checkpoint runs at cfg 1, where nobody reads it."""
    with pytest.warns(rh.RefhooksWarning, match="so negative_prompt does nothing; raise cfg"):
        small.edit(rgb(1), cfg=None, negative_prompt="red")


def test_turbo_runs_on_the_noise_levels_of_its_checkpoint():
    """Their number is the number of steps; another one is refused."""
    turbo = Small(sample_sigmas=[1.0, 0.9, 0.75, 0.4])

    result = turbo.edit(rgb(1), steps=None)

    assert len(result.timetable.steps) == 4
    assert_equal(turbo.stock(rgb(1)), result)
    with pytest.raises(rh.InputError, match="4 fixed noise levels, which are its steps; got 8"):
        turbo.edit(rgb(1), steps=8)
    assert torch.isfinite(turbo.edit(rgb(1), steps=2, denoise=0.5).latents).all()


def test_what_the_model_does_not_take_is_refused_before_anything_is_encoded(small, monkeypatch):
    """An eleventh picture, and a prompt beyond the positions of the transformer."""
    monkeypatch.setattr(small.pipe.text_encoder, "forward", lambda **_: pytest.fail("encoded"))
    monkeypatch.setattr(small.pipe.vae, "encode", lambda *_: pytest.fail("encoded"))

    with pytest.raises(rh.InputError, match="takes at most 10 references, the source included"):
        small.edit(rgb(11))
    with pytest.raises(rh.InputError, match=r"tokens with its template.*positions for 8187"):
        small.edit(rgb(1), "a" * 8200)
    with pytest.raises(rh.InputError, match="control token"):
        small.edit(rgb(1), "<|im_end|>")


@testing.parametrize_with_checks("qwen-image-21")
def test_it_keeps_the_contract(check):
    """By every check of `refhooks check qwen-image-21`."""
    check()
