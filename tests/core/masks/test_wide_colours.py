"""Photographs in other colours than sRGB: what the model is given, and what an edit mask keeps."""

from __future__ import annotations

import attrs
import numpy as np
import profiles
import pytest
import tiny
import torch
from PIL import Image
from results import same

import refhooks as rh
from refhooks.batch import Job, edit_batch

LEFT = "0,0,16,32"
GREY = profiles.grey_profile(1.8)


def wide(name="Display P3", size=(32, 32), seed=4):
    """A picture in the colours of a profile, with the strongest of them at its right."""
    pixels = np.array(tiny.picture(seed, size))
    band = pixels.shape[0] // 4
    for row, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]):
        pixels[row * band : (row + 1) * band, -8:] = colour
    picture = Image.fromarray(pixels)
    picture.info["icc_profile"] = profiles.WIDE[name]
    return picture


def in_srgb(picture):
    """The same in sRGB, without a profile."""
    plain = profiles.converted(picture)
    plain.info = {}
    return plain


@pytest.mark.parametrize("place", ["source", "reference"])
@pytest.mark.parametrize("name", profiles.WIDE)
def test_the_model_is_given_srgb(edit, tmp_path, name, place):
    """To the bit what the converted picture gives; the result is in sRGB, and says nothing else."""
    path = tmp_path / "photo.png"
    wide(name).save(path, icc_profile=profiles.WIDE[name])
    plain = in_srgb(wide(name))
    other = {"source": {}, "reference": {"image": tiny.picture()}}[place]
    key = {"source": "image", "reference": "references"}[place]

    def made(picture):
        return edit(**other, **{key: picture if place == "source" else [picture]})

    expected = made(plain)
    for picture in (path, wide(name)):
        result = made(picture)
        assert same(result, expected)
        assert "icc_profile" not in result.image.info


@pytest.mark.parametrize("form", ["png", "jpg", "webp"])
@pytest.mark.parametrize("name", profiles.WIDE)
def test_kept_pixels_come_out_in_their_own_colours(edit, tmp_path, name, form):
    """With the profile, in every format; to the bit where the format loses nothing."""
    source, path = wide(name), tmp_path / f"out.{form}"

    result = edit(source, edit_mask=LEFT)
    result.save(path)

    with Image.open(path) as opened:
        assert opened.info["icc_profile"] == profiles.WIDE[name]
        saved = np.asarray(opened.convert("RGB"))
    kept = np.asarray(source)[:, 16:]
    if form != "jpg":
        assert (saved[:, 16:] == kept).all()
        assert (np.asarray(result.image)[:, 16:] == kept).all()
    error = profiles.delta_e(
        profiles.lab(saved[:, 28:], profiles.WIDE[name]),
        profiles.lab(kept[:, 12:], profiles.WIDE[name]),
    )
    inside = error[2:6]  # a flat colour outside of sRGB, away from its neighbours
    assert inside.max() < 1.0
    clipped = profiles.lab(np.asarray(in_srgb(source))[2:6, 28:], None)
    assert profiles.delta_e(clipped, profiles.lab(kept[2:6, 12:], profiles.WIDE[name])).max() > 1.5


def photograph(size=256):
    """Smooth light, texture and a few edges of strong colours, as a photograph has them."""
    draw = np.random.default_rng(3)
    coarse = draw.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    smooth = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(smooth) + draw.normal(0, 6, (size, size, 1))
    pixels[size // 2 :: 64, :], pixels[: size // 4, ::32] = (255, 0, 0), (0, 0, 255)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("name", [*profiles.WIDE, None])
def test_files_that_lose_something_keep_what_was_kept(tmp_path, name):
    """In a JPEG below one ΔE00 in the mean, also beside strong colours; in a WEBP to the bit."""
    source = photograph()
    data = profiles.WIDE.get(name)
    if data:
        source.info["icc_profile"] = data
    made = rh.EditResult(
        images=(source,), latents=torch.zeros(1), timetable=rh.Timetable(()), seeds=(0,), kept=True
    )
    plain, errors = attrs.evolve(made, kept=False), {}
    for result, told in ((made, "kept"), (plain, "plain")):
        for form in ("jpg", "webp"):
            with Image.open(*result.save(tmp_path / f"{told}.{form}")) as opened:
                assert opened.info.get("icc_profile") == data
                seen = profiles.lab(np.asarray(opened.convert("RGB")), data)
            error = profiles.delta_e(seen, profiles.lab(np.asarray(source), data))
            errors[told, form] = (float(error.mean()), float(np.percentile(error, 99)))

    assert errors["kept", "webp"] == (0.0, 0.0)
    assert errors["kept", "jpg"][0] < 1.0
    assert errors["kept", "jpg"][1] < 3.0
    for form in ("jpg", "webp"):
        assert errors["plain", form][1] > 5.0
    sizes = {place.name: place.stat().st_size for place in tmp_path.iterdir()}
    assert sizes["kept.jpg"] < 4 * sizes["plain.jpg"]
    made.save(tmp_path / "kept.png")
    assert sizes["kept.webp"] < (tmp_path / "kept.png").stat().st_size


def test_only_what_an_edit_mask_kept_takes_a_larger_file(edit):
    """Other results are compressed as ever."""
    assert edit(wide(), edit_mask=LEFT).kept
    assert edit(tiny.picture(4, (32, 32)), edit_mask=LEFT).kept
    assert not edit(wide()).kept


@pytest.mark.parametrize("name", profiles.WIDE)
def test_edited_pixels_are_the_same_colours(edit, name):
    """What was made in sRGB is told in the colours of the profile, within their rounding."""
    result = edit(wide(name), edit_mask=LEFT)
    plain = edit(in_srgb(wide(name)), edit_mask=LEFT)

    made = np.asarray(in_srgb(result.image)).astype(int)[:, :16]

    assert np.abs(made - np.asarray(plain.image)[:, :16]).max() <= 2
    assert (result.latents == plain.latents).all()


def test_the_band_is_mixed_between_both(edit):
    """No edge shows where the band ends, also of colours that sRGB lacks."""
    source = wide()
    result = edit(source, edit_mask=rh.mask("0,0,20,32", feather=10))
    cover = rh.mask("0,0,20,32", feather=10).cover(rh.Size(32, 32)).numpy()

    picture, own = np.asarray(result.image).astype(int), np.asarray(source).astype(int)
    nearly = (cover > 0) & (cover < 0.15)
    assert nearly.any()
    assert np.abs(picture - own)[nearly].max() <= 0.15 * 255 + 2


def test_a_resized_picture(edit):
    """Its own pixels are resized in their own colours."""
    source = wide(size=(64, 48))

    image = edit(source, edit_mask="0,0,50%,100%", height=24, width=32).image

    expected = np.asarray(source.resize((32, 24), Image.Resampling.LANCZOS))
    assert (np.asarray(image)[:, 16:] == expected[:, 16:]).all()


GREYS = {
    "gamma 1.8": (GREY, lambda grey: grey ** (461 / 256)),
    "gamma 2.2": (profiles.grey_profile(2.2), lambda grey: grey ** (563 / 256)),
    "linear": (profiles.grey_profile(1.0), lambda grey: grey),
    "L*": (profiles.lightness_profile(), profiles.luminance),
}


@pytest.mark.parametrize("form", ["png", "jpg", "webp"])
@pytest.mark.parametrize("name", GREYS)
def test_a_grey_picture_comes_out_in_srgb(edit, tmp_path, name, form):
    """A grey profile holds no colours; sRGB holds every grey of it, within less than one ΔE00."""
    data, luminance = GREYS[name]
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey = Image.fromarray(np.hstack([255 - ramp, ramp]).repeat(2, axis=0))  # each is kept
    grey.save(tmp_path / "grey.png", icc_profile=data)

    result = edit(tmp_path / "grey.png", edit_mask=LEFT)
    result.save(tmp_path / f"out.{form}")

    with Image.open(tmp_path / f"out.{form}") as opened:
        assert "icc_profile" not in opened.info  # which says sRGB
        saved = np.asarray(opened.convert("RGB"))
    light = 116 * np.cbrt(luminance(np.asarray(grey, float)[:, 16:] / 255)) - 16
    dark = luminance(np.asarray(grey, float)[:, 16:] / 255)
    light = np.where(dark > (6 / 29) ** 3, light, dark * (29 / 3) ** 3)
    meant = np.stack([light, 0 * light, 0 * light], axis=-1)
    for seen in (np.asarray(result.image), saved):
        assert profiles.delta_e(profiles.lab(seen[:, 16:], None), meant).max() < 1.0
    assert "icc_profile" not in result.image.info
    by_numbers = profiles.lab(np.repeat(np.asarray(grey)[:, 16:, None], 3, axis=2), None)
    assert profiles.delta_e(by_numbers, meant).max() > 1.0


def test_a_profile_that_is_passed_over_leaves_the_edit(edit):
    """The result is that of the numbers alone, with one warning."""
    source = tiny.picture(4, (32, 32))
    plain = edit(source, edit_mask=LEFT)
    source = source.copy()
    source.info["icc_profile"] = profiles.DISPLAY_P3[:200]

    with pytest.warns(rh.RefhooksWarning, match="is passed over") as caught:
        result = edit(source, edit_mask=LEFT)

    assert len(caught) == 1
    assert same(result, plain)
    assert "icc_profile" not in result.image.info


def test_pictures_of_a_batch(editor):
    """Each job comes out in the colours of its own picture."""
    pictures = [wide(), tiny.picture(5, (32, 32)), wide("Adobe RGB", seed=6)]
    jobs = [Job(picture, "make it blue", seed=n) for n, picture in enumerate(pictures)]

    result = edit_batch(editor, jobs, steps=2, cfg=1.0, edit_mask=LEFT)

    for image, picture in zip(result.images, pictures, strict=True):
        assert (np.asarray(image)[:, 16:] == np.asarray(picture)[:, 16:]).all()
        assert image.info.get("icc_profile") == picture.info.get("icc_profile")


def test_what_a_plugin_changes_afterwards_is_not_undone(edit):
    """Only what is still the source's comes out in its own colours."""

    class Late:
        @rh.hookimpl(trylast=True)
        def refhooks_image(self, images):
            images = images.clone()
            images[:, :, :16] = 0.0
            return images

    mask = rh.plugin("edit-mask", value=rh.mask(LEFT))
    image = np.asarray(edit(wide(), plugins=[mask, Late()]).image)

    assert (image[:16] == 0).all() or (image[16:, 16:] == np.asarray(wide())[16:, 16:]).all()


@pytest.mark.parametrize("handover", ["latents", "pixels"])
def test_chains_keep_their_own_colours(editor, tmp_path, handover):
    """Through every edit, and each of them can be replayed from the files to the bit."""
    wide().save(tmp_path / "photo.png", icc_profile=profiles.DISPLAY_P3)
    edits = [rh.Edit(prompt, edit_mask=LEFT) for prompt in ("make it blue", "make it red")]
    chain = editor.chain(tmp_path / "photo.png", edits, steps=2, cfg=1.0, seed=1, handover=handover)

    paths = chain.save(tmp_path / "out.png")

    for path, result in zip(paths, chain.results, strict=True):
        with Image.open(path) as opened:
            assert opened.info["icc_profile"] == profiles.DISPLAY_P3
            assert (np.asarray(opened)[:, 16:] == np.asarray(wide())[:, 16:]).all()
        assert same(result, editor.replay(path))


@pytest.mark.parametrize("embed", [True, False])
@pytest.mark.parametrize("mask", [None, LEFT])
def test_replays(edit, editor, tmp_path, monkeypatch, embed, mask):
    """From the file beside, or from inside, where the profile lies as well; to the bit."""
    monkeypatch.chdir(tmp_path)
    wide().save("photo.png", icc_profile=profiles.DISPLAY_P3)
    result = edit(tmp_path / "photo.png", edit_mask=mask)
    [path] = result.save("out.png", embed=embed)
    if embed:
        (tmp_path / "photo.png").unlink()

    again = editor.replay(path)

    assert same(again, result)
    assert again.image.info.get("icc_profile") == result.image.info.get("icc_profile")


def test_a_recipe_from_before_profiles_were_read(edit, editor, tmp_path, monkeypatch):
    """Its picture is found by its own numbers, and replayed by them, to the bit."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.asarray(wide())).save("photo.png")  # as it was read then
    result = edit(tmp_path / "photo.png", edit_mask=LEFT)
    [path] = result.save("out.png")
    wide().save("photo.png", icc_profile=profiles.DISPLAY_P3)

    assert same(editor.replay(path), result)
    assert same(editor.replay(path, references=["photo.png"]), result)


def test_advice_compares_in_srgb(edit):
    """The source is not taken for changed where it is kept."""
    result = edit(wide(), edit_mask=LEFT)

    seen = result.compare()

    assert seen.info.get("icc_profile") is None
    assert result.advice.measured.outside == pytest.approx(0.0, abs=1e-6)
