"""What the plugin registers: the model, its samples, and its warning about other pictures."""

from __future__ import annotations

import subprocess
import sys

import attrs
import numpy as np
import pytest
from PIL import Image

import refhooks_toy
from refhooks_toy import (
    EDIT_KINDS,
    HELD_OUT,
    SIZE,
    TWO_PICTURES,
    WHOLE_PICTURE,
    make_pairs,
    refhooks_models,
)
from refhooks_toy._samples import PROMPTS, SCENES, write_samples

pytestmark = pytest.mark.long


def test_exported_names() -> None:
    """The public names of the package are these, and all exist."""
    expected = (
        "EDIT_KINDS HELD_OUT PROJECTION SAMPLES SIZE TWO_PICTURES WEIGHTS WHOLE_PICTURE "
        "Edit Face Pairs Scene Shape load_pipeline make_edit make_pairs random_scene"
    )
    assert refhooks_toy.__all__ == expected.split()
    assert all(hasattr(refhooks_toy, name) for name in refhooks_toy.__all__)


def test_importing_the_package_is_light() -> None:
    """`import refhooks_toy` brings in no diffusers or transformers."""
    code = (
        "import sys, refhooks_toy; "
        "print([m for m in ('diffusers', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_model_is_registered_with_its_own_sizes() -> None:
    """The embedded model states sizes of its own, not the stock pipeline's megapixel."""
    (model,) = refhooks_models()
    assert model.name == "toy"
    assert model.checkpoint.output == model.checkpoint.reference == SIZE * SIZE


def test_samples_are_what_the_generator_draws(tmp_path) -> None:
    """The files in the package are the samples' scenes, and the model lists them all."""
    for path in write_samples(tmp_path):
        shipped = refhooks_toy.SAMPLES / path.name
        np.testing.assert_array_equal(np.asarray(Image.open(shipped)), np.asarray(Image.open(path)))
    (model,) = refhooks_models()
    assert [path.stem for path in model.samples()] == list(SCENES)


def test_prompts_fit_the_first_sample() -> None:
    """What the prompts talk about is in the first sample."""
    scene = next(iter(SCENES.values()))
    kinds = {shape.kind for shape in scene.shapes}
    assert scene.face is not None
    assert attrs.asdict(scene)["light"] == "day"
    for kind in ("circle", "star"):
        assert kind in kinds
    assert any("circle" in prompt for prompt in PROMPTS)


def test_held_out_edits_are_there_to_be_scored():
    """Of every kind, with their answers; those that change all of a picture say so."""
    (model,) = refhooks_models()

    pairs = model.pairs(2)

    assert [pair.kind for pair in pairs] == [kind for kind in EDIT_KINDS for _ in range(2)]
    drawn = make_pairs("object-swap", [HELD_OUT, HELD_OUT + 1])
    swaps = [pair for pair in pairs if pair.kind == "object-swap"]
    assert [pair.prompt for pair in swaps] == drawn.prompts
    assert np.array_equal(np.asarray(swaps[1].right), drawn.right[1])
    assert [pair.seed for pair in swaps] == [0, 1]
    assert {pair.kind for pair in pairs if pair.is_whole} == set(WHOLE_PICTURE)
    assert {pair.kind for pair in pairs if pair.references} == {TWO_PICTURES}


def test_the_quicker_way_leaves_the_pipeline_as_it_was(untrained):
    """The autoencoder and the transformer have their own forward again."""
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d

    (model,) = refhooks_models()
    before = untrained.transformer.forward, QwenImageCausalConv3d.forward

    with model.faster(untrained):
        assert untrained.transformer.forward != before[0]
        assert QwenImageCausalConv3d.forward is not before[1]

    assert (untrained.transformer.forward, QwenImageCausalConv3d.forward) == before
