"""The weights that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from diffusers import QwenImageEditPlusPipeline
from safetensors import safe_open

from refhooks_toy import HELD_OUT, PROJECTION, SIZE, WEIGHTS, load_pipeline, make_pairs
from refhooks_toy import _measures as measures
from refhooks_toy._sampling import Request, decode, sample
from refhooks_toy._vae import encoder, single_frame

if TYPE_CHECKING:
    from refhooks_toy._pairs import Pairs

COUNT = 6


@pytest.fixture(scope="module")
def toy() -> QwenImageEditPlusPipeline:
    """Load the package's model."""
    return load_pipeline()


def edited(toy: QwenImageEditPlusPipeline, pairs: Pairs) -> np.ndarray:
    """Edit pictures in 8 steps."""
    request = Request(pairs.prompts, [pairs.source], range(COUNT), steps=8)
    return sample(toy, request)


def test_the_weights_fit_in_the_package() -> None:
    """At most 30 MB in all, safetensors and JSON only, with a model card."""
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 30e6
    assert {path.suffix for path in files} == {".safetensors", ".json", ".md"}
    assert (WEIGHTS / "MODEL_CARD.md") in files


def test_the_model_is_the_genuine_pipeline(toy: QwenImageEditPlusPipeline) -> None:
    """Its class is the stock one, in float32 unless asked otherwise."""
    assert type(toy) is QwenImageEditPlusPipeline
    assert toy.transformer.dtype == torch.float32
    assert load_pipeline(dtype=torch.bfloat16).vae.dtype == torch.bfloat16


def test_the_projection_fits_the_transformer(toy: QwenImageEditPlusPipeline) -> None:
    """It maps packed latents to the width of the transformer, and says for which family."""
    with safe_open(PROJECTION, "pt") as file:
        assert file.get_slice("projection.weight").get_shape() == [toy.transformer.inner_dim, 64]
        assert file.metadata()["family"] == "qwen-image-edit-plus"


def test_the_autoencoder_is_sharp(toy: QwenImageEditPlusPipeline) -> None:
    """Held-out scenes come back with at least 34 dB."""
    pictures = make_pairs("background-swap", range(HELD_OUT, HELD_OUT + 16)).right
    with single_frame(), torch.inference_mode():
        back = decode(toy, encoder(toy.vae)(torch.from_numpy(pictures)), SIZE, SIZE)
    assert measures.psnr(back, pictures).mean() >= 34


@pytest.mark.parametrize("kind", ["style-transfer", "lighting-change", "color-change"])
def test_the_model_edits(toy: QwenImageEditPlusPipeline, kind: str) -> None:
    """A few held-out edits are mostly done, even in 8 steps."""
    pairs = make_pairs(kind, range(HELD_OUT, HELD_OUT + COUNT))
    done = measures.edit_done(edited(toy, pairs), pairs.source, pairs.right, pairs.mask)
    assert done.mean() > 0.5


def test_the_prompt_decides(toy: QwenImageEditPlusPipeline) -> None:
    """Another colour in the prompt, another colour in the picture."""
    (pairs,) = [make_pairs("color-change", [HELD_OUT])]
    shape = next(iter(set(pairs.edits[0].right.shapes) - set(pairs.edits[0].source.shapes)))
    name = f"the {next(s.colour for s in pairs.edits[0].source.shapes if s.place == shape.place)}"
    prompts = [f"make {name} {shape.kind} {colour}" for colour in ("red", "blue")]
    twice = np.repeat(pairs.source, 2, axis=0)
    red, blue = sample(toy, Request(prompts, [twice], [0, 0], steps=8)).astype(int)
    changed = pairs.mask[0]
    assert (red - blue)[changed][:, 0].mean() > 40
    assert (blue - red)[changed][:, 2].mean() > 40
