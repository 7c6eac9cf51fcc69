"""``keep_pixels``: the source's pixels where a finished picture is near them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from confining import LEFT
from PIL import Image
from plugs import plugin

import refhooks as rh
from refhooks.batch import Job, edit_batch
from refhooks_keeping._nearness import LEAST, MOST, measured_threshold, whole_picture


def made_of(source, change):
    """Return a plugin that makes the finished picture the source plus ``change(pixels)``."""

    def refhooks_image(images):
        pixels = torch.from_numpy(np.asarray(source, dtype=np.float32) / 255).permute(2, 0, 1)
        return change(pixels.expand_as(images).clone()).to(images)

    return plugin(refhooks_image=refhooks_image)


def off_by(amount, columns=slice(None)):
    """Return a change of some columns, up or down, whichever is in range."""

    def change(pixels):
        part = pixels[..., columns]
        pixels[..., columns] = torch.where(part > 0.5, part - amount, part + amount)
        return pixels

    return change


@pytest.fixture
def source():
    """As large as the output."""
    return tiny.picture(4, (32, 32))


def kept(edit, source, change, **options):
    """Return the pixels of an edit that went so, as floats 0–1."""
    plugins = [made_of(source, change), rh.plugin("keep_pixels", **options)]
    return np.asarray(edit(source, plugins=plugins).image) / 255


def test_what_is_near_is_the_source_and_what_is_far_stays(edit, source):
    """To the pixel; between, the source's share falls with the distance."""
    own = np.asarray(source) / 255

    def change(pixels):
        return off_by(0.4, slice(20, None))(off_by(0.08, slice(0, 20))(pixels))

    found = kept(edit, source, change, threshold=0.1)

    assert (found[:, :18] == own[:, :18]).all()
    assert np.abs(found[:, 22:] - own[:, 22:]).min() > 0.39


@pytest.mark.parametrize(("amount", "share"), [(0.1, 1.0), (0.15, 0.5), (0.2, 0.0), (0.3, 0.0)])
def test_the_ramp(edit, source, amount, share):
    """From the threshold to twice of it; a corner is near, or the whole would be left alone."""

    def change(pixels):
        return off_by(amount, slice(10, None))(pixels)

    found = np.abs(kept(edit, source, change, threshold=0.1) - np.asarray(source) / 255)

    assert np.abs(found[:, 14:] - amount * (1 - share)).max() < 0.006


def test_strength_scales_the_threshold(edit, source):
    """0 puts nothing back; the last step's counts."""

    def change(pixels):
        return off_by(0.15, slice(10, None))(pixels)

    off = [
        np.abs(kept(edit, source, change, threshold=0.1, strength=it) - np.asarray(source) / 255)
        for it in (0, 1, 1.5, "0.4:1.5")
    ]

    assert [round(float(it[:, 14:].mean()), 2) for it in off] == [0.15, 0.07, 0.0, 0.0]


def test_a_strength_that_ends_at_nothing_is_told(edit, source):
    """It would do nothing, and silently."""
    with pytest.warns(rh.RefhooksWarning, match="strength is 0 at the last step"):
        edit(source, plugins=[rh.plugin("keep_pixels", strength="1.0:0.0")])


def test_a_whole_picture_edit_stays_as_it_was_made(edit, source):
    """To the bit, and the warning says why."""
    with pytest.warns(rh.RefhooksWarning, match=r"picture 1: 0.0% .* edited as a whole"):
        found = kept(edit, source, off_by(0.3), threshold=0.1)

    assert np.abs(found - np.asarray(source) / 255).min() > 0.29


def test_whole_pictures_are_told_one_by_one():
    """Less than a tenth is near."""
    away = torch.ones(3, 10, 10)
    away[0, 0, :9], away[1, 0], away[2] = 0.0, 0.0, 0.0

    assert whole_picture(away, torch.tensor([[[0.5]]])).tolist() == [True, False, False]


def run_whose_autoencoder_errs(amounts):
    """Return what a run is, whose autoencoder is off by so much at each row of a picture."""
    pixels = torch.full((1, 3, len(amounts), 8), 0.5)
    coded = pixels + torch.tensor(amounts)[:, None]
    source = SimpleNamespace(latents="r", pixels=pixels)
    return SimpleNamespace(source=source, decode={"r": coded}.get)


@pytest.mark.parametrize(
    ("amount", "limit"), [(0.03, 0.04), (0.001, LEAST), (0.5, MOST), (0.045, MOST)]
)
def test_the_measured_threshold(amount, limit):
    """4/3 of what the autoencoder does to the source, within bounds."""
    found = measured_threshold(run_whose_autoencoder_errs([amount] * 8))

    torch.testing.assert_close(found, torch.tensor([limit]))


def test_the_measured_threshold_is_of_nearly_the_worst():
    """The 99th percentile, so that a few pixels do not count."""
    rows = [0.01] * 400 + [0.9]
    rows[200:206] = [0.03] * 6

    found = measured_threshold(run_whose_autoencoder_errs(rows))

    assert 0.01 * 4 / 3 < float(found) < 0.03 * 4 / 3


def test_without_a_threshold_it_is_measured(edit, source):
    """The random autoencoder of the tests is far off: the bound holds."""
    own = np.asarray(source) / 255

    def change(pixels):
        return off_by(MOST * 2.2, slice(20, None))(off_by(MOST * 0.9, slice(0, 20))(pixels))

    found = kept(edit, source, change)

    assert (found[:, :18] == own[:, :18]).all()
    assert np.abs(found[:, 22:] - own[:, 22:]).min() > MOST * 2


def test_a_picture_that_is_as_the_autoencoder_made_it_is_the_source(edit, source):
    """Nothing was edited: all of it comes back, or all but a hundredth on the ramp."""

    class Coded:
        name = "coded"

        def bind_run(self, run):
            def refhooks_image(images):
                own = run.source.pixels.expand_as(images)
                return own + 0.005 * torch.sign(0.5 - own)

            return plugin(refhooks_image=refhooks_image)

    image = edit(source, plugins=[Coded(), rh.plugin("keep_pixels")]).image

    assert (np.asarray(image) == np.asarray(source)).all()


def test_each_picture_of_a_batch_has_its_own(editor):
    """One of a local edit and one of a whole one; a replay is the same to the bit."""
    pictures = [tiny.picture(seed, (32, 32)) for seed in (4, 5)]

    class Mixed:
        name = "mixed"

        def bind_run(self, run):
            def refhooks_image(images):
                own = run.source.pixels.expand_as(images).clone()
                own[1] = 1 - own[1]
                own[0, :, :, 16:] = 1 - own[0, :, :, 16:]
                return own

            return plugin(refhooks_image=refhooks_image)

    jobs = [Job(picture, "x", seed=number) for number, picture in enumerate(pictures)]
    keep = rh.plugin("keep_pixels", threshold=0.05)
    with pytest.warns(rh.RefhooksWarning, match="picture 2"):
        found = edit_batch(editor, jobs, steps=2, plugins=[Mixed(), keep]).images

    local, whole = (np.asarray(it).astype(int) for it in found)
    assert (local[:, :13] == np.asarray(pictures[0])[:, :13]).all()
    assert (whole == 255 - np.asarray(pictures[1]).astype(int)).all()


def test_an_edit_mask_has_the_last_word_outside_of_it(edit, source):
    """Within it `keep_pixels` acts as ever."""
    own = np.asarray(source)

    def change(pixels):
        return off_by(0.4, slice(8, None))(off_by(0.05, slice(0, 8))(pixels))

    plugins = [made_of(source, change), rh.plugin("keep_pixels", threshold=0.1)]
    found = np.asarray(edit(source, plugins=plugins, edit_mask=LEFT).image)

    assert (found[:, :6] == own[:, :6]).all()
    assert (found[:, 16:] == own[:, 16:]).all()
    assert (found[:, 10:16] != own[:, 10:16]).any(axis=-1).all()


@pytest.mark.parametrize("size", [(33, 47), (100, 64)])
def test_a_source_of_another_size_is_resized_to_the_output(edit, size):
    """As an edit mask has it."""
    picture = tiny.picture(4, size)
    resized = picture.resize((32, 48), Image.Resampling.LANCZOS)
    plugins = [
        made_of(resized, off_by(0.4, slice(16, None))), rh.plugin("keep_pixels", threshold=0.1)
    ]  # fmt: skip

    image = edit(picture, plugins=plugins, height=48, width=32).image

    assert (np.asarray(image)[:, :13] == np.asarray(resized)[:, :13]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "threshold must be a number of 0-1, .* got 1.5"),
        ({"threshold": -0.1}, "got -0.1"),
        ({"threshold": float("nan")}, "got nan"),
        ({"threshold": True}, "got True"),
        ({"treshold": 0.1}, "no option 'treshold'. Did you mean 'threshold'"),
    ],
)
def test_options_that_cannot_be(options, message):
    """Are refused where they are written."""
    with pytest.raises(rh.RefhooksError, match=message):
        rh.plugin("keep_pixels", **options)


@pytest.mark.parametrize("strength", [3, -1, "soon", [1.0, 0.5]])
def test_strengths_that_cannot_be(edit, source, strength):
    """As a stage's, before anything is encoded."""
    with pytest.raises(rh.StrategyError, match="keep_pixels"):
        edit(source, plugins=[rh.plugin("keep_pixels", strength=strength)])


def test_an_edit_without_a_source(editor):
    """Has nothing to put back."""
    with pytest.raises(
        rh.InputError, match="keep_pixels needs a source picture, but image is None"
    ):
        editor.edit(None, "x", steps=2, height=32, width=32, plugins=[rh.plugin("keep_pixels")])


def test_a_recipe_makes_it_again_to_the_bit(editor, edit, source, tmp_path):
    """With its threshold and its schedule."""
    path = tmp_path / "source.png"
    source.save(path)
    result = edit(path, plugins=[rh.plugin("keep_pixels", threshold=0.6, strength="0.4:1.5")])
    plain = edit(path)

    again = editor.replay(result.recipe, references=[path])

    assert [it["plugin"] for it in result.recipe.plugins] == ["keep_pixels"]
    assert (np.asarray(again.image) == np.asarray(result.image)).all()
    assert (np.asarray(again.image) != np.asarray(plain.image)).any()


def test_chains_and_grids_take_it(editor, source):
    """At every edit of a chain, and in every cell."""
    keep = rh.plugin("keep_pixels", threshold=0.9)
    chain = editor.chain(source, [rh.Edit("x"), rh.Edit("y")], steps=2, seed=1, plugins=[keep])
    grid = editor.grid(source, "x", strengths=[0.5, 1.0], steps=2, plugins=[keep])

    assert all((np.asarray(it.image) == np.asarray(source)).all() for it in chain.results)
    cells = [image for row in grid.images for image in row]
    assert all((np.asarray(it) == np.asarray(source)).all() for it in cells)
