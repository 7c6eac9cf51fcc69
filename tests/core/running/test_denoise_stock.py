"""denoise: the tail of a full schedule from the noised source, as the stock pipelines do it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tiny
import torch
from confining import LEFT, METHODS, OUTSIDE, Watched
from diffusers import (
    QwenImageEditInpaintPipeline,
    QwenImageEditPipeline,
    QwenImageImg2ImgPipeline,
)
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_inpaint
from PIL import Image

import refhooks as rh

PROMPT = "make it blue"
AREA = 32 * 32
SIZES = rh.Checkpoint(output=AREA, reference=AREA, vision=AREA)
PARTS = pytest.mark.parametrize(
    ("steps", "denoise", "total"), [(3, 0.6, 5), (2, 0.5, 4), (4, 0.8, 5), (1, 0.25, 4)]
)


@functools.cache
def editor_of(static, kind="edit"):
    """An editor on a one-reference pipeline."""
    scheduler = tiny.STATIC if static else tiny.DYNAMIC
    return rh.Editor(tiny.build(kind, "middle", scheduler=scheduler), checkpoint=SIZES)


@pytest.fixture
def edit(editor):
    """``edit()`` of a square picture in two steps, unless the call says otherwise."""

    def edit(image=None, prompt=PROMPT, **kwargs):
        picture = tiny.picture(0, (32, 32)) if image is None else image
        return editor.edit(picture, prompt, **{"steps": 2, "seed": 1, "cfg": 1.0, **kwargs})

    return edit


@pytest.fixture
def alike(monkeypatch):
    """Stock pipelines that encode as the stock edit pipelines do, at the tests' size.

    Of themselves they draw from the VAE's distribution, and divide by its deviation in another way.
    """
    for cls in (QwenImageEditInpaintPipeline, QwenImageImg2ImgPipeline):
        encode = QwenImageEditPipeline._encode_vae_image
        monkeypatch.setattr(cls, "_encode_vae_image", encode)
    original = pipeline_qwenimage_edit_inpaint.calculate_dimensions
    monkeypatch.setattr(
        pipeline_qwenimage_edit_inpaint,
        "calculate_dimensions",
        lambda _area, ratio: original(AREA, ratio),
    )


def stock(cls, editor, **arguments):
    """Run a stock pipeline made of an editor's parts; return its latents, starts and noise levels.

    A start is what each call of the transformer was given.
    """
    names = ("scheduler", "vae", "text_encoder", "tokenizer", "transformer")
    parts = {name: getattr(editor.pipe, name) for name in names}
    if cls is QwenImageEditInpaintPipeline:
        parts["processor"] = editor.pipe.processor
    pipe = cls(**parts)
    pipe.set_progress_bar_config(disable=True)
    with watch(editor.pipe.transformer) as starts:
        latents = pipe(
            generator=torch.Generator("cpu").manual_seed(1), true_cfg_scale=2.0,
            output_type="latent", **arguments,
        ).images  # fmt: skip
    begin = pipe.scheduler.begin_index
    return latents, starts, pipe.scheduler.sigmas[begin:-1].tolist()


class watch:  # noqa: N801  a context manager is used as a function
    """Note what every forward pass of a transformer is given."""

    def __init__(self, transformer):
        self._transformer = transformer

    def __enter__(self):
        seen = []
        self._handle = self._transformer.register_forward_pre_hook(
            lambda _module, _args, kwargs: seen.append(kwargs["hidden_states"].clone()),
            with_kwargs=True,
        )
        return seen

    def __exit__(self, *_):
        self._handle.remove()


def ours(editor, steps, denoise, **arguments):
    """Run an edit; return its result and what every forward pass was given."""
    with watch(editor.pipe.transformer) as starts:
        result = editor.edit(
            tiny.picture(0, (32, 32)), PROMPT, steps=steps, denoise=denoise, seed=1, cfg=2.0,
            **arguments,
        )  # fmt: skip
    return result, starts


@PARTS
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_edit_inpaint(alike, static, steps, denoise, total):
    """With a mask over all of the picture the whole run is equal, bit for bit."""
    editor = editor_of(static)
    result, starts = ours(editor, steps, denoise)

    latents, theirs, sigmas = stock(
        QwenImageEditInpaintPipeline, editor, image=tiny.picture(0, (32, 32)), prompt=PROMPT,
        negative_prompt=" ", mask_image=Image.new("L", (32, 32), 255), strength=steps / total,
        num_inference_steps=total,
    )  # fmt: skip

    assert list(result.timetable.sigmas) == sigmas
    assert len(sigmas) == steps
    assert len(starts) == 2 * steps
    assert torch.equal(starts[0], theirs[0])
    assert torch.equal(result.latents, latents)


@pytest.mark.parametrize("steps", [2, 4])
def test_edit_inpaint_with_an_edit_mask(alike, steps):
    """A mask along tokens: equal but for rounding, noise levels and start to the bit."""
    editor = editor_of(static=False)
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (0, 0, 16, 32))
    result, starts = ours(editor, steps, 0.5, edit_mask=LEFT)

    latents, theirs, sigmas = stock(
        QwenImageEditInpaintPipeline, editor, image=tiny.picture(0, (32, 32)), prompt=PROMPT,
        negative_prompt=" ", mask_image=mask, strength=0.5, num_inference_steps=2 * steps,
    )  # fmt: skip

    assert list(result.timetable.sigmas) == sigmas
    torch.testing.assert_close(starts[0], theirs[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(result.latents, latents, atol=1e-5, rtol=0)


@PARTS
@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_img2img(alike, static, steps, denoise, total):
    """Given our prompt, a reference at 0 is the stock pipeline without one, bit for bit."""
    editor = editor_of(static)
    result, starts = ours(editor, steps, denoise, strategy=rh.Stage("default", 0))
    run = editor.family.open(
        prompts=[PROMPT], guidance=rh.Guidance(2.0, (" ",)), seeds=[1], size=rh.Size(32, 32),
        references=[], shown=[],
    )  # fmt: skip
    with torch.no_grad():
        texts = {branch.name: run.inputs(run.noise, branch).text for branch in run.branches}

    latents, theirs, sigmas = stock(
        QwenImageImg2ImgPipeline, editor, image=tiny.picture(0, (32, 32)), height=32, width=32,
        prompt_embeds=texts["cond"].embeds, negative_prompt_embeds=texts["uncond"].embeds,
        strength=steps / total, num_inference_steps=total,
    )  # fmt: skip

    assert list(result.timetable.sigmas) == sigmas
    assert torch.equal(starts[0], theirs[0])
    assert torch.equal(result.latents, latents)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_all_of_its_steps(edit, name):
    """N steps are run, whatever denoise is; 1 is, to the bit, no denoise."""
    for denoise in (1.0, 0.4):
        seen = Watched()
        result = edit(strategy=METHODS[name], denoise=denoise, steps=3, plugins=seen.plugins)
        assert len(result.timetable.steps) == len(seen.pairs("step")) == 3
        if denoise == 1.0:
            assert torch.equal(result.latents, edit(strategy=METHODS[name], steps=3).latents)


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
@pytest.mark.parametrize("denoise", [0.05, 0.3, 0.7, 0.9, 0.99, 1])
def test_the_noise_levels_are_the_tail_of_a_full_run(static, denoise):
    """Those of ``round(N/denoise)`` steps; nothing is shifted twice."""
    editor, steps = editor_of(static), 4
    total = round(steps / denoise)

    whole = rh.plan([rh.Reference(tiny.picture())], total, editor=editor).sigmas
    part = rh.plan([rh.Reference(tiny.picture())], steps, editor=editor, denoise=denoise).sigmas
    nowhere = rh.plan("default", steps, denoise=denoise).sigmas

    assert part == whole[-steps:]
    np.testing.assert_allclose(nowhere, [(steps - place) / total for place in range(steps)])
    result, _ = ours(editor, steps, denoise)
    assert (
        result.timetable.sigmas
        == rh.plan(
            [rh.Reference(tiny.picture(0, (32, 32)))], steps, editor=editor, denoise=denoise
        ).sigmas
    )


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
@pytest.mark.parametrize("n", [1, 2])
def test_the_start_is_the_noised_source(static, n):
    """As the scheduler adds noise, with the run's own noise, for every picture of a batch."""
    editor, picture = editor_of(static), tiny.picture(0, (32, 32))
    result, starts = ours(editor, 2, 0.5, n=n)
    run = editor.family.open(
        prompts=["x"], guidance=rh.Guidance(1.0, (" ",)), seeds=[1, 2][:n], size=rh.Size(32, 32),
        references=[], shown=[],
    )  # fmt: skip
    with torch.no_grad():
        clean = run.encode(picture, rh.Size(32, 32))
    scheduler, sigmas, timesteps = editor.family.schedule(2, rh.Size(32, 32), 4)

    expected = scheduler.scale_noise(clean, timesteps[:1], run.noise)

    assert torch.equal(starts[0][:, :16], expected)
    assert result.timetable.sigmas[0] == sigmas[0]
    torch.testing.assert_close(expected, (1 - sigmas[0]) * clean + sigmas[0] * run.noise)


def test_less_denoise_stays_nearer_to_the_source(edit):
    """Latents are those of the source as denoise nears 0."""
    far = [
        (edit(denoise=denoise, steps=2, strategy=rh.Stage("default", 0)).latents).std().item()
        for denoise in (0.01, 0.02)
    ]
    clean = edit(denoise=0.001, steps=2, strategy=rh.Stage("default", 0)).latents
    distances = [
        (edit(denoise=it, steps=2, strategy=rh.Stage("default", 0)).latents - clean).norm().item()
        for it in (0.01, 0.1, 0.5)
    ]
    assert distances == sorted(distances)
    assert all(np.isfinite(far))


@pytest.mark.parametrize("denoise", [0, -0.5, 1.01, float("nan"), float("inf"), True, "0.5"])
def test_values_that_are_refused(edit, never_called, denoise):
    """By name and range, before anything runs; plan() says the same."""
    for call in (
        lambda: edit(denoise=denoise),
        lambda: rh.plan("default", 4, denoise=denoise),
    ):
        with never_called(), pytest.raises(rh.InputError, match="denoise must be a number above 0"):
            call()


def test_too_little(edit, never_called):
    """A schedule of so many steps that one of them would be nothing."""
    with (
        never_called(),
        pytest.raises(rh.InputError, match=r"too small for 2 steps; at least 0\.000"),
    ):
        edit(denoise=1e-5)


def test_without_a_source(editor, never_called):
    """There is nothing to begin from; 1 needs nothing."""
    with never_called(), pytest.raises(rh.InputError, match="denoise below 1 needs a source"):
        editor.edit(None, "a night", steps=2, denoise=0.5)
    assert editor.edit(None, "a night", steps=2, seed=1, denoise=1).image.size == (32, 32)


def test_outside_an_edit_mask(edit):
    """The held tokens start as every step finds them."""
    seen = Watched()
    edit(denoise=0.5, edit_mask=LEFT, steps=3, plugins=seen.plugins)

    before, after = seen.pairs("step")[0]

    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    assert torch.equal(after[:, ~OUTSIDE], before[:, ~OUTSIDE])
