"""What the embedded model's own projection does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import refhooks as rh


@pytest.fixture(scope="module")
def toy():
    """The embedded model, without a progress bar."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return editor


@pytest.fixture(scope="module")
def source():
    """Its first sample."""
    with Image.open(next(iter(rh.load_registry().models["toy"].samples()))) as opened:
        return opened.convert("RGB")


def distance(picture, other):
    """RMSE in sRGB, 0–1."""
    first, second = (np.asarray(entry, dtype=np.float64) / 255 for entry in (picture, other))
    return float(np.sqrt(np.mean((first - second) ** 2)))


def test_the_model_brings_its_projection(toy, source):
    """Nothing has to be named, and a plan says nothing."""
    rh.plan("concat", editor=toy)

    result = toy.edit(source, "make it night", strategy="concat", steps=4, seed=0)

    assert torch.isfinite(result.latents).all()


def test_the_reference_comes_through_it(toy, source):
    """By it alone the result is nearer to the source than with none, or with P untrained."""

    def run(method, strength=1.0):
        strategy = rh.Strategy([rh.Stage(method, strength)], vision="never")
        edited = toy.edit(source, "make the sky green", strategy=strategy, steps=8, seed=0, cfg=1.0)
        return distance(edited.image, source)

    without, ours, tied = run("concat", 0.0), run("concat"), run(rh.method("concat", tied=True))

    assert ours < 0.8 * without
    assert ours < tied


def test_it_stays_what_it_was_for(toy, pipe, source):
    """Another model refuses the file, by its base or by its shape."""
    path = toy.model.files["concat"]
    method = rh.method("concat", projection=path)
    named = rh.Editor(pipe, checkpoint=rh.Checkpoint(base="other"))

    with pytest.raises(rh.InputError, match="was trained on refhooks-toy, the model is other"):
        named.edit(source, "make it night", strategy=method, steps=2)
    with pytest.raises(rh.InputError, match=r"the shape \[128, 64\]; the model needs \[32, 16\]"):
        rh.Editor(pipe).edit(source, "make it night", strategy=method, steps=2)
