"""What the embedded model says is beyond it: pictures, words and sizes, and none of its own."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image, ImageFilter

import refhooks as rh
from refhooks_toy import EDIT_KINDS, HELD_OUT, SIZE, make_edit, make_pairs
from refhooks_toy._judge import judge, judge_prompt, judge_size
from refhooks_toy._prompts import WORDS

PHOTOS = [
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png",
    "color.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "moon.png",
    "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
]  # fmt: skip
"""Photographs, a page and a chart that come with scikit-image; the cat is ``chelsea.png``."""

STRANGE = {
    "make it cyberpunk": "'cyberpunk'",
    "replace the star with a cat": "'cat'",
    "make it winter": "'winter'",
    "in the style of Monet, wearing a crown": "'monet', 'wearing', 'crown'",
    "turn the hat pink and add three dogs": "'hat', 'pink', 'and', 'three'",
    "faire la nuit": "'faire', 'la', 'nuit'",
    "夜にして": "'夜にして'",
}


def jpeg(picture):
    """The picture after it was saved as a small JPEG of four times the size."""
    file = io.BytesIO()
    picture.resize((4 * SIZE, 4 * SIZE)).save(file, "JPEG", quality=60)
    return Image.open(file)


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_pictures_of_its_own_pass(kind):
    """Sources and right answers, also blurred a little, enlarged, and as small JPEGs."""
    pairs = make_pairs(kind, range(HELD_OUT, HELD_OUT + 12))
    for picture in (*pairs.source, *pairs.right):
        image = Image.fromarray(picture)
        assert judge(image) is None
        assert judge(image.filter(ImageFilter.BoxBlur(1))) is None
        assert judge(image.resize((200, 200))) is None
        assert judge(jpeg(image)) is None


@pytest.mark.parametrize("name", PHOTOS)
def test_photographs_get_a_warning_that_says_what_to_do(name):
    """A cat and a rocket, too, large parts of which have the colours of an empty scene."""
    warning = judge(Image.open(Path(skimage.__file__).parent / "data" / name))

    assert "not of toyland" in warning
    assert "Qwen/Qwen-Image-Edit-2511" in warning


@pytest.mark.parametrize("size", [(128, 64), (64, 128), (300, 200), (75, 64)])
def test_pictures_of_its_own_that_it_would_distort_are_told(size):
    """Those that are no square, by more than a tenth."""
    (picture, *_) = make_pairs("color-change", [HELD_OUT]).source

    warning = judge(Image.fromarray(picture).resize(size))

    assert f"{size[0]}x{size[1]} pixels is distorted" in warning
    assert judge(Image.fromarray(picture).resize((68, 64))) is None


def test_noise_plain_colours_and_gradients_get_a_warning():
    """They are no scenes."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    others = (noise, np.full((64, 64, 3), (255, 0, 255), np.uint8), np.stack([[ramp] * 64] * 3, -1))
    for picture in others:
        assert judge(Image.fromarray(np.ascontiguousarray(picture))) is not None


def test_the_words_it_knows_are_those_of_its_edits():
    """All of them, and no others."""
    words = set()
    for kind in EDIT_KINDS:
        for seed in range(1500):
            words |= set(re.findall(r"\w+", make_edit(kind, seed).prompt.lower()))

    assert words == WORDS


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_prompts_of_its_own_pass(kind):
    """A hundred that it was not trained on."""
    for seed in range(HELD_OUT, HELD_OUT + 100):
        assert judge_prompt(make_edit(kind, seed).prompt) is None


@pytest.mark.parametrize(("prompt", "named"), STRANGE.items())
def test_words_that_it_never_saw_are_named(prompt, named):
    """In the order of the prompt, four at most, and how many more there are."""
    assert f"never saw the words {named}" in judge_prompt(prompt)


@pytest.mark.parametrize(("width", "height"), [(160, 160), (96, 64), (64, 48), (48, 48), (32, 128)])
def test_sizes_it_was_not_trained_on_are_told(width, height):
    """Larger, smaller, and of another shape."""
    assert f"here {width}x{height}" in judge_size(rh.Size(height=height, width=width))
    assert judge_size(rh.Size(height=SIZE, width=SIZE)) is None


@pytest.fixture(scope="module")
def toy():
    """The embedded model, without a progress bar."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


def test_each_is_warned_of_once_in_a_plan(toy):
    """A photograph with strange words, larger than it can do: three warnings; a sample: none."""
    photo = Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        toy.edit(photo, ["make it cyberpunk"] * 2, steps=1, seed=0, height=160, width=160)
    told = [str(entry.message) for entry in told if entry.category is rh.RefhooksWarning]
    assert len(told) == 3
    assert sum("cyberpunk" in text for text in told) == 1

    toy.edit(rh.load_registry().models["toy"].samples()[0], "make it night", steps=1, seed=0)
