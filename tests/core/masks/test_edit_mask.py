"""The edit mask: what it protects stays to the pixel, whatever takes part in the run."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from confining import LEFT, METHODS, OUTSIDE, RIGHT, Watched
from PIL import Image
from plugs import plugin

import refhooks as rh


def source(size=(32, 32), seed=4):
    """Return a picture to be edited."""
    return tiny.picture(seed, size)


def pixels(picture, size=(32, 32)):
    """Return a picture's pixels at the output's size."""
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("denoise", [1.0, 0.6])
def test_outside_the_pixels_are_the_sources(edit, name, denoise):
    """For every method, in every picture of a batch; inside something changes."""
    picture = source()
    result = edit(
        picture, strategy=METHODS[name], edit_mask=LEFT, n=2, denoise=denoise, steps=3, cfg=2.0
    )

    for image in result.images:
        assert (np.asarray(image)[:, 16:] == pixels(picture)[:, 16:]).all()
        assert (np.asarray(image)[:, :16] != pixels(picture)[:, :16]).any()


@pytest.mark.parametrize("size", [(33, 47), (100, 64), (16, 16)])
@pytest.mark.parametrize("feather", [0, 6])
def test_pictures_of_other_sizes(edit, size, feather):
    """What is kept is the source, resized to the output, beyond the band."""
    picture = source(size)
    mask = rh.mask("0,0,40%,100%", feather=feather)

    image = edit(picture, edit_mask=mask, height=48, width=32).image

    cover = torch.nn.functional.adaptive_max_pool2d(
        mask.cover(rh.Size(size[1], size[0]))[None], (48, 32)
    )[0]
    kept = (cover == 0).numpy()
    assert kept.any()
    assert (np.asarray(image)[kept] == pixels(picture, (32, 48))[kept]).all()


def test_the_band_mixes_pixels(edit):
    """By the cover, between what was made and the source."""
    mask, picture = rh.mask("0,0,12,32", feather=8), source()
    seen = Watched()

    result = edit(picture, edit_mask=mask, plugins=seen.plugins)

    made = seen.pairs("image")[0][0][0].permute(1, 2, 0).numpy()
    cover = mask.cover(rh.Size(32, 32))[..., None].numpy()
    mixed = pixels(picture) / 255 * (1 - cover) + made * cover
    assert np.abs(np.asarray(result.image) - mixed * 255).max() <= 0.51


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    """8 bits of a pixel survive the 8 bits of bfloat16."""
    pipe = tiny.build("plus", "small", dtype=dtype)
    area = 32 * 32
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area))
    ramp = Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32).astype(np.uint8))

    image = editor.edit(ramp, "x", steps=2, seed=1, cfg=2.0, edit_mask="0,0,4,4").image

    assert (np.asarray(image)[4:] == np.asarray(ramp.convert("RGB"))[4:]).all()


def test_the_first_step_is_what_it_was(edit):
    """At sigma 1 the source's latents are noise alone, so no bit changes before the second."""

    def starts(**kwargs):
        seen = Watched()
        edit(source(), plugins=seen.plugins, **kwargs)
        return [after.target for _, after in seen.pairs("conditioning")]

    free, masked = starts(), starts(edit_mask=rh.mask(LEFT, feather=4))

    assert torch.equal(free[0], masked[0])
    assert not torch.equal(free[1], masked[1])


def test_latents_follow_the_source(editor, edit):
    """``(1 − sigma)·r + sigma·ε`` outside at every step, and r itself at the end."""
    picture, seen = source(), []

    result = edit(
        picture, edit_mask=LEFT, steps=3, strategy=METHODS["inject add latents"],
        callback=lambda *it: seen.append(it),
    )  # fmt: skip

    run = editor.family.open(
        prompts=["x"], guidance=rh.Guidance(1.0, (" ",)), seeds=[1], size=rh.Size(32, 32),
        references=[], shown=[],
    )  # fmt: skip
    with torch.no_grad():
        clean = run.encode(picture, rh.Size(32, 32))
    for (_, latents, _), sigma in zip(seen, result.timetable.sigmas, strict=True):
        expected = (1 - sigma) * clean + sigma * run.noise
        torch.testing.assert_close(latents[:, OUTSIDE], expected[:, OUTSIDE], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        result.latents[:, OUTSIDE], clean[:, OUTSIDE], atol=1e-5, rtol=0
    )  # fmt: skip
    torch.testing.assert_close(seen[-1][2][:, OUTSIDE], clean[:, OUTSIDE], atol=1e-5, rtol=0)


def test_tokens_that_are_touched_are_free(edit):
    """A token of which a pixel may change is not held, whatever it covers of it."""
    arguments = {"strategy": METHODS["inject add latents"], "steps": 3}

    part, whole = (
        edit(source(), edit_mask=box, **arguments).latents for box in ("0,0,17,32", "0,0,24,32")
    )

    assert torch.equal(part, whole)


def test_a_full_edit_mask_is_none(edit):
    """To the bit, latents and pixels."""
    free = edit(source(), steps=3)
    full = edit(source(), steps=3, edit_mask="0,0,100%,100%")

    assert torch.equal(free.latents, full.latents)
    assert free.image.tobytes() == full.image.tobytes()


def test_it_is_after_every_plugin(edit):
    """Nothing that takes part can change what it protects."""

    @rh.hookimpl(trylast=True)
    def image(images):
        return torch.zeros_like(images)

    @rh.hookimpl(trylast=True)
    def velocity(velocity):
        return velocity * 5

    picture = source()
    found = edit(
        picture, edit_mask=rh.mask(RIGHT, invert=True),
        plugins=[plugin(refhooks_image=image, refhooks_velocity=velocity)],
    ).image  # fmt: skip

    assert (np.asarray(found)[:, :16] == 0).all()
    assert (np.asarray(found)[:, 16:] == pixels(picture)[:, 16:]).all()


def test_by_hand(edit):
    """The argument is short for the run plugin."""
    given = edit(source(), edit_mask=LEFT)
    named = edit(source(), plugins=[rh.plugin("edit-mask", value=rh.mask(LEFT))])

    assert torch.equal(given.latents, named.latents)
    assert given.image.tobytes() == named.image.tobytes()


def test_with_masked_references_and_switches(edit):
    """It goes with region and content masks, stages and several references."""
    picture = source()
    stages = [rh.Stage("default", until=0.5), rh.Stage("inject")]
    masked = rh.Strategy(stages, masks=[rh.mask(RIGHT), rh.mask(LEFT, kind="content")])

    with pytest.warns(rh.RefhooksWarning, match="inject.* its masks multiply, and no place"):
        image = edit(
            picture, strategy=masked, references=[source(seed=5)], edit_mask=LEFT, steps=4, cfg=2.0
        ).image

    assert (np.asarray(image)[:, 16:] == pixels(picture)[:, 16:]).all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (rh.mask(LEFT, kind="content"), "edit_mask must be a region mask, got a content mask"),
        (rh.mask(LEFT, strength=0.5), "an edit mask has no strength"),
        (rh.mask(LEFT, strength=[1, 1]), "an edit mask has no strength"),
        (rh.mask(LEFT, text="area"), "an edit mask has no text"),
        ("100%,0,1,1", "the edit mask covers nothing, so nothing could change"),
        (3, "3 is no mask"),
        (np.zeros((3, 3, 3)), r"must be \[height,width\]"),
        ("no/such.png", "there is no picture no/such.png"),
    ],
)
def test_what_is_refused(edit, never_called, mask, message):
    """Before the model is called."""
    with never_called(), pytest.raises(rh.InputError, match=message):
        edit(source(), edit_mask=mask)


def test_without_a_source(editor, never_called):
    """There is nothing to keep."""
    with never_called(), pytest.raises(rh.InputError, match="an edit_mask needs a source picture"):
        editor.edit(None, "a night", steps=2, edit_mask=LEFT)
    kept = rh.plugin("edit-mask", value=rh.mask(LEFT))
    with never_called(), pytest.raises(rh.InputError, match="an edit mask needs a source picture"):
        editor.edit(None, "a night", steps=2, plugins=[kept])
