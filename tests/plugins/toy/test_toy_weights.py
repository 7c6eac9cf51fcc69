"""The weights that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import torch
from diffusers import QwenImageEditPlusPipeline
from safetensors import safe_open

from refhooks import score as measures
from refhooks_toy import HELD_OUT, PROJECTION, WEIGHTS, load_pipeline, make_pairs
from refhooks_toy._held_out import as_pairs
from refhooks_toy._survey import Settings, edit, measure_vae, new_editor

if TYPE_CHECKING:
    from refhooks import Editor

SETTINGS = Settings(count=6, steps=8, cfg=2.0)


@pytest.fixture(scope="module")
def toy() -> QwenImageEditPlusPipeline:
    """Load the package's model."""
    return load_pipeline()


@pytest.fixture(scope="module")
def editor() -> Editor:
    """Load the package's model into an editor."""
    return new_editor(None)


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


def test_the_autoencoder_is_sharp(editor: Editor) -> None:
    """Held-out scenes, sketches and sepia photos come back with at least 34 dB."""
    psnr, ssim = measure_vae(editor.pipe.vae, 16)
    assert psnr.mean >= 34
    assert ssim.mean >= 0.97


@pytest.mark.parametrize("kind", ["style-transfer", "lighting-change", "color-change"])
def test_the_model_edits(editor: Editor, kind: str) -> None:
    """A few held-out edits are mostly done, even in 8 steps."""
    pairs = make_pairs(kind, range(HELD_OUT, HELD_OUT + SETTINGS.count))
    out = edit(editor, as_pairs(pairs), SETTINGS)
    assert measures.edit_done(out, pairs.source, pairs.right, pairs.mask).mean() > 0.5


def test_the_prompt_decides(editor: Editor) -> None:
    """Another colour in the prompt, another colour in the picture."""
    pairs = make_pairs("color-change", [HELD_OUT])
    shape = next(iter(set(pairs.edits[0].right.shapes) - set(pairs.edits[0].source.shapes)))
    name = f"the {next(s.colour for s in pairs.edits[0].source.shapes if s.place == shape.place)}"
    (pair,) = as_pairs(pairs)
    asked = [
        attrs.evolve(pair, prompt=f"make {name} {shape.kind} {colour}")
        for colour in ("red", "blue")
    ]
    red, blue = edit(editor, asked, SETTINGS).astype(int)
    changed = pairs.mask[0]
    assert (red - blue)[changed][:, 0].mean() > 40
    assert (blue - red)[changed][:, 2].mean() > 40
