"""``align``: a picture that the model has moved is put back onto its source."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import refhooks as rh
from refhooks.cli import main
from refhooks_toy import SAMPLES

SHIFT = (2.3, -1.2, 1.02)


class Mover:
    """Moves what was decoded, as a model would; the source comes back, so the answer is known."""

    def __init__(self, x, y, scale, source):
        self.arguments = (x, y, scale)
        self.source = source

    @rh.hookimpl(tryfirst=True)
    def refhooks_image(self, images):
        from skimage.transform import warp

        x, y, scale = self.arguments
        pixels = np.asarray(self.source, dtype=np.float64) / 255.0
        middle = [(side - 1) / 2 for side in (pixels.shape[1], pixels.shape[0])]
        offset = [at - (at + by) / scale for at, by in zip(middle, (x, y), strict=True)]
        matrix = np.array([[1 / scale, 0, offset[0]], [0, 1 / scale, offset[1]], [0, 0, 1]])
        moved = torch.from_numpy(warp(pixels, matrix, order=3, mode="edge")).permute(2, 0, 1)
        height, width = moved.shape[1:]
        made = images.clone()
        made[:, :3, :height, :width] = moved.to(images)
        return made


def without_the_extra(monkeypatch):
    """As where scikit-image is not installed."""
    stock = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "skimage" else stock(name, *a)
    )


@pytest.fixture
def scene():
    """A sample of the embedded model's, 64x64."""
    return Image.open(SAMPLES / "meadow.png").convert("RGB")


@pytest.fixture
def moved(edit, scene):
    """An edit of the scene that comes back moved, with more arguments."""
    mover = Mover(*SHIFT, scene)

    def moved(**options):
        return edit(scene, steps=2, resolution=64 * 64, plugins=[mover], **options)

    return moved


def test_a_moved_picture_is_put_back(moved, scene):
    """To a tenth of a pixel; the latents stay as the model made them."""
    before, after = moved(), moved(align=True)

    assert (before.shift().x, before.shift().y) == pytest.approx(SHIFT[:2], abs=0.1)
    assert before.shift().noticed
    assert after.shift().most < 0.1
    assert after.latents.equal(before.latents)
    assert after.retouched
    inner = (slice(8, -8), slice(8, -8))
    off = [
        np.abs(np.asarray(it.image).astype(float) - np.asarray(scene))[inner].mean()
        for it in (before, after)
    ]
    assert off[1] < off[0] / 4


def test_what_lies_in_its_place_stays_to_the_bit(edit, scene):
    """To move by less than is known would blur for nothing."""
    still = Mover(0.05, 0.0, 1.0, scene)
    options = {"steps": 2, "resolution": 64 * 64, "plugins": [still]}

    plain, aligned = edit(scene, **options), edit(scene, align=True, **options)

    assert np.array_equal(np.asarray(plain.image), np.asarray(aligned.image))


def test_what_cannot_be_measured_stays_and_warns(edit, scene):
    """Random weights make nothing of the source."""
    plain = edit(scene, steps=2)

    with pytest.warns(rh.RefhooksWarning, match="align: picture 1 stays where it is.*cannot be"):
        aligned = edit(scene, steps=2, align=True)

    assert np.array_equal(np.asarray(plain.image), np.asarray(aligned.image))


def test_an_edit_mask_holds_beside_it(moved, scene):
    """What is inside is moved; outside the source is put back to the pixel."""
    result = moved(align=True, edit_mask="16,16,32,32")

    changed = (np.asarray(result.image) != np.asarray(scene)).any(axis=-1)
    changed[16:48, 16:48] = False
    assert not changed.any()
    alone = np.asarray(moved(align=True).image)[20:44, 20:44]
    assert np.abs(np.asarray(result.image)[20:44, 20:44].astype(int) - alone).max() <= 1


def test_it_lies_on_a_native_size(pipe, scene):
    """Measured and moved on what the model works on, then cut to the source's size."""
    source = scene.crop((0, 0, 61, 59))
    editor = rh.Editor(pipe, checkpoint=rh.Checkpoint(output=64 * 64, reference=32 * 32))
    options = {"steps": 2, "resolution": "native", "plugins": [Mover(*SHIFT, source)]}

    plain, aligned = (editor.edit(source, "x", align=on, **options) for on in (False, True))

    assert aligned.image.size == (61, 59)
    assert aligned.shift().most < 0.3 < plain.shift().most


def test_a_recipe_tells_it(edit, editor, scene, tmp_path):
    """A replay aligns as well, and is the same to the bit."""
    scene.save(tmp_path / "photo.png")
    with pytest.warns(rh.RefhooksWarning, match="align"):
        result = edit(tmp_path / "photo.png", steps=2, align=True)
    [path] = result.save(tmp_path / "made.png")

    assert rh.load_recipe(path).align
    with pytest.warns(rh.RefhooksWarning, match="align"):
        made = editor.replay(path)
    assert np.array_equal(np.asarray(made.image), np.asarray(result.image))


def test_a_chain_hands_aligned_pictures_on_as_pixels(editor, scene):
    """The latents hold what was not moved."""
    with pytest.warns(rh.RefhooksWarning, match="align"):
        chained = editor.chain(scene, [rh.Edit("a"), rh.Edit("b")], steps=2, seed=1, align=True)

    assert all(result.retouched for result in chained.results)
    notes = chained.results[1].recipe.notes
    assert not any("as latents" in note for note in notes)


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (None, {}, "align needs a source picture, but image is None"),
        ("scene", {"align": "yes"}, "align must be True or False, got 'yes'"),
        ("scene", {"align": 1}, "align must be True or False, got 1"),
    ],
)
def test_what_it_cannot_do_is_refused(editor, never_called, scene, image, options, words):
    """Before anything runs."""
    source = scene if image else None
    size = {} if image else {"height": 32, "width": 32}
    with never_called(), pytest.raises(rh.InputError, match=words):
        editor.edit(source, "x", steps=2, **{"align": True, **size, **options})


def test_without_a_source_it_refuses_as_a_plugin_too():
    """The call refuses the argument; whoever gives the plugin itself is told by that."""
    align = rh.load_registry().for_argument("align", True)

    with pytest.raises(rh.InputError, match="align needs a source picture"):
        align.check(None)


def test_the_extra_is_named_before_anything_runs(edit, never_called, scene, monkeypatch):
    """What to install."""
    without_the_extra(monkeypatch)

    with never_called(), pytest.raises(rh.InputError, match=r"refhooks\[measure\]"):
        edit(scene, align=True)
    with pytest.raises(rh.InputError, match=r"refhooks\[measure\]"):
        edit(scene).shift()


def test_advice_says_what_is_shifted(moved, monkeypatch):
    """With what to do; without scikit-image it is not mentioned."""
    advice = moved().advice
    assert advice.issues[-1].problem == "Shifted or zoomed"
    assert advice.shift.noticed
    assert "px right" in str(advice)
    assert json.loads(advice.to_json())["shift"]["x"] == pytest.approx(SHIFT[0], abs=0.1)

    without_the_extra(monkeypatch)
    assert moved().advice.shift is None


def run(*arguments):
    """The command; its result."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_explain_warns_above_half_a_pixel(moved, scene, tmp_path):
    """On stderr, and in what it prints."""
    scene.save(tmp_path / "photo.png")
    moved().image.save(tmp_path / "off.png")
    scene.save(tmp_path / "same.png")

    told = run("explain", tmp_path / "off.png", "--source", tmp_path / "photo.png")
    assert told.exit_code == 0, told.output
    assert "warning: shift: 2." in told.stderr
    assert "Shifted or zoomed" in told.stdout
    same = run("explain", tmp_path / "same.png", "--source", tmp_path / "photo.png")
    assert "warning" not in same.stderr
    assert "Shifted" not in same.stdout


def size_of(place):
    """The size of a picture's file."""
    with Image.open(place) as picture:
        return picture.size


@pytest.mark.usefixtures("toy")
def test_the_command_takes_sizes_and_align(scene, tmp_path, monkeypatch):
    """``edit``, ``chain`` and ``grid``; the recipe says so."""
    monkeypatch.chdir(tmp_path)
    scene.crop((12, 12, 51, 53)).save("photo.png")
    options = ["--resolution", "native", "--vision-resolution", 4096, "--align", "--steps", 2]

    made = run("edit", "photo.png", "x", "-o", "a.png", "--seed", 1, "--preview-every", 1, *options)
    assert made.exit_code == 0, made.output
    recipe = rh.load_recipe("a.png")
    assert (recipe.native, recipe.vision_resolution, recipe.align) == (True, 4096, True)
    chained = run("chain", "photo.png", "-p", "x", "-p", "y", "-o", "b.png", "--seed", 1, *options)
    assert chained.exit_code == 0, chained.output
    assert rh.load_recipe("b.png").native
    grid = run(
        "grid", "photo.png", "x", "-o", "c.png", "--methods", "default", "--strengths", "0,1",
        *options,
    )  # fmt: skip
    assert grid.exit_code == 0, grid.output
    places = [*Path("c.cells").iterdir(), "a.png", "b-1.png", "a.preview.png"]
    assert {size_of(place) for place in places} == {(39, 41)}

    wrong = run("edit", "photo.png", "x", "-o", "d.png", "--resolution", "own")
    assert wrong.exit_code == 2
    assert "Or give 'native'." in wrong.output
