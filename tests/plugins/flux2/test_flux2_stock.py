"""With no strategy the output is the stock pipeline's, to the bit, on every kind of FLUX.2."""

from __future__ import annotations

import pytest
import torch
from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache
from results import assert_equal
from small2 import KINDS, SIDE, klein, rgb

import refhooks as rh
from refhooks import testing
from refhooks_flux2._shape import dev_shape, klein_shape


def without_negative(small):
    """Klein's own negative prompt is empty; refhooks' default is one blank."""
    return {"negative_prompt": ""} if small.editor.family.guidance_kind == "true" else {}


@pytest.mark.parametrize("count", [0, 4])
def test_it_is_the_stock_pipeline(small, count):
    """None, and four of as many sizes; guided twice, by an input, or not at all."""
    pictures = rgb(count)

    assert_equal(small.stock(pictures), small.edit(pictures, **without_negative(small)))


def test_it_is_the_stock_pipeline_in_bfloat16(small_bf16):
    """Where one order of rounding is not another."""
    pictures = rgb(4)

    result = small_bf16.edit(pictures, **without_negative(small_bf16))

    assert_equal(small_bf16.stock(pictures), result)


@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("kind", ["klein", "dev"])
def test_guidance(kind, scale):
    """At another scale, and where a second pass is left out."""
    small, pictures = KINDS[kind](), rgb(1)
    given = without_negative(small) if scale > 1 else {}

    expected = small.stock(pictures, guidance_scale=scale)

    assert_equal(expected, small.edit(pictures, cfg=scale, **given))


def test_several_prompts_and_seeds(small):
    """Two prompts with two seeds each."""
    pictures, prompts = rgb(2), ["make it blue", "explain the texture"]
    expected = small.stock(pictures, prompts, seeds=(5, 6, 5, 6), num_images_per_prompt=2)

    result = small.edit(pictures, prompts, seed=5, n=2, **without_negative(small))

    assert_equal(expected, result)


def test_the_size_is_that_of_the_first_picture(small):
    """Cut to whole tokens, where nothing says another."""
    pictures = rgb(2)
    expected = small.stock(pictures, height=None, width=None)

    result = small.edit(pictures, height=None, width=None, **without_negative(small))

    assert result.images[0].size == (96, 64)
    assert_equal(expected, result)


class SeenError(Exception):
    """Carries the pixels that the VAE was given."""


@pytest.mark.parametrize("size", [(250, 250), (1501, 901), (3000, 1000), (1024, 1024), (700, 1500)])
def test_what_the_vae_is_given(kept, size, monkeypatch):
    """The picture at its own size up to 1 MP, else shrunk; then cut at the centre."""
    picture = testing.picture(0, size)

    def seen(image, **_):
        raise SeenError(image)

    monkeypatch.setattr(kept.pipe, "_encode_vae_image", lambda image, *_, **__: seen(image))
    with pytest.raises(SeenError) as expected:
        kept.stock([picture])
    with pytest.raises(SeenError) as given:
        kept.edit([picture])

    assert torch.equal(expected.value.args[0], given.value.args[0])


def test_the_shift_depends_on_tokens_and_steps():
    """From 4,300 tokens on by another line, which no longer minds the steps."""
    family = klein().editor.family
    side = {tokens: rh.Size(family.multiple, family.multiple * tokens) for tokens in (4300, 4301)}

    def second(tokens, steps):
        return float(family.schedule(steps, side[tokens])[1][1])

    assert second(4300, 4) == pytest.approx(0.968, abs=1e-3)
    assert second(4301, 4) == pytest.approx(0.908, abs=1e-3)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((300, 40), "a reference of 300x40 pixels has a side below 64.*resolution"),
        ((900, 100), "a reference of 900x100 pixels is longer than 8 to 1.*crop it"),
    ],
)
def test_pictures_that_stock_refuses(small, size, message):
    """In one sentence, before anything is encoded."""
    with pytest.raises(rh.InputError, match=message):
        small.edit([testing.picture(0, size)])


def test_a_small_picture_with_a_resolution(small):
    """It is scaled, not cut."""
    reference = rh.Reference(testing.picture(0, (300, 40)), resolution=128 * 128)

    result = small.editor.edit(reference, "make it blue", steps=2, seed=1, height=SIDE, width=SIDE)

    assert result.images[0].size == (SIDE, SIDE)


def test_a_prompt_longer_than_the_pipeline_reads(small):
    """Stock cuts it without a word."""
    with pytest.raises(rh.InputError, match=r"the prompt comes to \d+ tokens.* 512"):
        small.edit(rgb(1), "make it blue " * 50)


def test_the_systems_message_counts(monkeypatch):
    """Of the pipeline, which somebody may have changed: it stands before the prompt."""
    own = KINDS["dev"]()
    family = own.editor.family

    def length():
        return family.text_positions("make it blue", (SIDE, SIDE), (), ())[0]

    before = length()
    monkeypatch.setattr(own.pipe, "system_message", own.pipe.system_message + " and briefly")

    assert length() > before


def test_a_negative_prompt_that_nobody_reads():
    """Where guidance is an input or distilled away."""
    for kind in ("distilled", "kv", "dev"):
        with pytest.raises(rh.InputError, match="negative"):
            KINDS[kind]().edit(rgb(1), negative_prompt="red")


def test_first_block_cache_fails_in_stock_too():
    """That is why it is refused here; when this fails, the refusal can go."""
    own = KINDS["distilled"]()
    apply_first_block_cache(own.pipe.transformer, FirstBlockCacheConfig())

    with pytest.raises(TypeError, match="unsupported operand"):
        own.stock(rgb(1))


def test_it_loads_from_a_folder(small, tmp_path):
    """In the type of its files; so does a plan alone."""
    small.pipe.save_pretrained(tmp_path)

    editor = rh.Editor.from_pretrained(tmp_path)
    bare = rh.Editor.from_pretrained(tmp_path, weights=False)
    editor.pipe.set_progress_bar_config(disable=True)

    options = {"steps": 3, "seed": 1, "height": SIDE, "width": SIDE, **without_negative(small)}
    result = editor.edit(rgb(1)[0], "make it blue", **options)
    assert torch.equal(result.latents, small.stock(rgb(1))[0])
    assert bare.family.name == small.editor.family.name


def test_the_number_of_weights(small):
    """As its configuration says."""
    shapes = {"flux2-dev": dev_shape}
    shape = shapes.get(small.editor.family.name, klein_shape)(dict(small.pipe.transformer.config))

    assert small.pipe.transformer.num_parameters() == shape.parameters
