"""With no strategy the output is the stock diffusers pipeline's, to the bit."""

from __future__ import annotations

import profiles
import pytest
import tiny
import torch
from results import assert_equal

import refhooks as rh

pytestmark = pytest.mark.usefixtures("small_stock")

PROMPT = "make it blue"
SIZE = {"height": 48, "width": 64}
# What 2508, 2509 and 2511 share, the shift of their step-distilled LoRAs, and other ways to shift.
SCHEDULERS = {
    "2508, 2509, 2511": tiny.DYNAMIC,
    "lightning": {**tiny.DYNAMIC, "base_shift": 1.0986, "max_shift": 1.0986,
                  "shift_terminal": None},
    "static": tiny.STATIC,
    "static-karras": {**tiny.STATIC, "use_karras_sigmas": True},
    "dynamic-linear": {**tiny.DYNAMIC, "time_shift_type": "linear"},
    "dynamic-exponential-sigmas": {**tiny.DYNAMIC, "use_exponential_sigmas": True},
}  # fmt: skip


def stock(pipe, pictures, prompt=PROMPT, *, cfg=4.0, steps=3, seeds=(1,), **kwargs):
    """Run the stock pipeline; return latents and pictures."""
    batch = kwargs.pop("batch", 1)
    arguments = {
        "image": pictures,
        "prompt": prompt,
        "negative_prompt": kwargs.pop("negative", " ") if cfg > 1 else None,
        "true_cfg_scale": cfg,
        "num_inference_steps": steps,
        "num_images_per_prompt": len(seeds),
        **SIZE,
        **kwargs,
    }
    generators = [torch.Generator("cpu").manual_seed(s) for _ in range(batch) for s in seeds]
    seen = {}
    pictures = pipe(
        **arguments,
        generator=generators,
        callback_on_step_end=lambda _pipe, _step, _t, tensors: seen.update(tensors) or tensors,
    ).images
    return seen["latents"], pictures


def editor(pipe):
    """An editor at the areas to which the stock pipelines were shrunk.

    QwenImageEditPipeline has its area in its code, so there is no constant to read.
    """
    area = tiny.AREA if type(pipe).__name__ == "QwenImageEditPipeline" else None
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(reference=area))


@pytest.mark.parametrize("shape", tiny.SHAPES)
@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_edit_is_the_stock_pipeline(shape, cfg):
    """QwenImageEditPipeline, three models, with and without guidance."""
    pipe = tiny.build("edit", shape)
    source = tiny.picture()

    result = editor(pipe).edit(source, PROMPT, seed=1, steps=3, cfg=cfg, **SIZE)

    assert_equal(stock(pipe, source, cfg=cfg), result)


@pytest.mark.parametrize("zero_cond_t", [False, True], ids=["2509", "2511"])
@pytest.mark.parametrize("references", [1, 2, 3])
@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_plus_is_the_stock_pipeline(shape, references, zero_cond_t):
    """QwenImageEditPlusPipeline, every number of references, with and without zero_cond_t."""
    pipe = tiny.build("plus", shape, zero_cond_t=zero_cond_t)
    pictures = [tiny.picture(0), tiny.picture(1, (48, 64)), tiny.picture(2, (80, 40))][:references]

    result = editor(pipe).edit(
        pictures[0], PROMPT, references=pictures[1:], seed=1, steps=3, **SIZE
    )

    assert_equal(stock(pipe, pictures), result)


@pytest.mark.parametrize("kind", tiny.PIPELINES)
@pytest.mark.parametrize("cfg", [1.0, 2.5])
def test_bfloat16(kind, cfg):
    """Both classes in bf16."""
    pipe = tiny.build(kind, "middle", dtype=torch.bfloat16)
    source = tiny.picture()

    result = editor(pipe).edit(source, PROMPT, seed=5, steps=3, cfg=cfg, **SIZE)

    assert_equal(stock(pipe, source if kind == "edit" else [source], cfg=cfg, seeds=(5,)), result)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_schedulers(scheduler):
    """Static and dynamic shifting, as the checkpoints and their step-distilled LoRAs set it."""
    pipe = tiny.build("plus", "small", scheduler=SCHEDULERS[scheduler])
    source = tiny.picture()

    result = editor(pipe).edit(source, PROMPT, seed=1, steps=4, **SIZE)

    assert_equal(stock(pipe, [source], steps=4), result)


def test_text_padding():
    """Two prompts of different length are padded and masked as the stock class does it."""
    pipe = tiny.build("edit", "middle")
    # The stock class shows a list of pictures to its text encoder as they are, so this one already
    # has the size to which a single one would be resized.
    source, prompts = (
        tiny.picture(size=(64, 64)),
        ["make it blue", "explain the texture of the background"],
    )
    negative = ["image", "the input image where the user's text"]

    result = editor(pipe).edit(
        source, prompts, negative_prompt=negative, seed=1, steps=3, cfg=3.0, **SIZE
    )

    assert_equal(stock(pipe, [source] * 2, prompts, cfg=3.0, negative=negative, batch=2), result)


def test_several_pictures_of_one_prompt():
    """N pictures are the stock pipeline's with one generator a picture."""
    pipe = tiny.build("plus", "middle")
    source = tiny.picture()

    result = editor(pipe).edit(source, PROMPT, seed=7, n=3, steps=3, **SIZE)

    assert result.seeds == (7, 8, 9)
    assert_equal(stock(pipe, [source], seeds=(7, 8, 9)), result)


def test_default_at_1_is_no_strategy(pipe):
    """The native method at strength 1 adds nothing."""
    source = tiny.picture()

    plain = editor(pipe).edit(source, PROMPT, seed=1, steps=3)
    named = editor(pipe).edit(source, PROMPT, seed=1, steps=3, strategy=rh.Stage("default", 1.0))

    assert torch.equal(plain.latents, named.latents)


@pytest.mark.parametrize("name", profiles.WIDE)
def test_a_wide_gamut_photograph_is_its_conversion(name, tmp_path):
    """What stock makes of the picture after LittleCMS has converted it to sRGB."""
    pipe = tiny.build("plus")
    wide = tiny.picture()
    wide.save(tmp_path / "photo.png", icc_profile=profiles.WIDE[name])
    wide.info["icc_profile"] = profiles.WIDE[name]
    plain = profiles.converted(wide)
    plain.info = {}

    result = editor(pipe).edit(tmp_path / "photo.png", PROMPT, cfg=4.0, steps=3, seed=1, **SIZE)

    assert_equal(stock(pipe, [plain]), result)
