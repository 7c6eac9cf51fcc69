"""What the autoencoder alone keeps of the sources."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from refhooks.score import Cell, Settings, Shot, _ceiling, measure, run_cells

SETTINGS = Settings(steps=2, cfg=1.0, batch=2)


def test_the_ceiling_is_what_the_autoencoder_keeps(editor, pairs, tmp_path):
    """Of a source that is encoded and decoded, with no edit between; made once."""
    card = run_cells(editor, pairs, [Cell("native")], SETTINGS, ceiling=True, store=tmp_path)
    calls = []
    handle = editor.pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        again = run_cells(editor, pairs, [Cell("native")], SETTINGS, ceiling=True, store=tmp_path)
    finally:
        handle.remove()

    assert not calls
    assert card == again
    assert {"kept", "kept_ciede2000", "kept_ssim"} == set(card.ceiling)
    made = _ceiling.coded(editor, pairs[:1])[0]
    assert np.abs(np.asarray(made, int) - _round_trip(editor, pairs[0].source)).max() <= 1
    shot = Shot(
        pairs[0], np.asarray(made), np.asarray(pairs[0].source), None, pairs[0].region, None
    )
    assert card.ceiling["kept_ssim"][0] == pytest.approx(measure(shot)["kept_ssim"])
    assert card.ceiling["kept"][2] is None, "nothing lies outside of an edit of the whole picture"
    assert card.most("kept_ssim").count == 2
    assert card.most("done") is None


def _round_trip(editor, picture):
    """By the pipeline's own parts."""
    pipe, (width, height) = editor.pipe, picture.size
    pixels = pipe.image_processor.preprocess(picture, height, width).unsqueeze(2)
    with torch.inference_mode():
        latents = pipe._encode_vae_image(pixels, torch.Generator())
        packed = pipe._pack_latents(latents, 1, latents.shape[1], *latents.shape[3:])
    return np.asarray(editor.decode(packed, height=height, width=width)[0], int)
