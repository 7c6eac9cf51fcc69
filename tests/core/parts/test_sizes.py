"""Pictures and latents have the sizes of the plan: tiles of the VAE leave nothing out."""

from __future__ import annotations

import pytest
import torch
from small import SIDE, SOURCE, edit

import refhooks as rh

TILE = {"tile_sample_min_height": 32, "tile_sample_min_width": 32}
FITTING = {"tile_sample_stride_height": 16, "tile_sample_stride_width": 16}
LOST = r"the VAE's tiles of 32 pixels with a stride of 192 \((height|width)\) would lose"


@pytest.mark.parametrize("family", ["edit", "plus", "2.1", "toy"])
def test_tiles_with_gaps_are_refused_before_anything_is_encoded(new, never_encoded, family):
    """The message says what to call; a look at latents says it too."""
    editor = new(family)
    latents = edit(editor).latents
    editor.pipe.vae.enable_tiling(**TILE)
    never_encoded(editor)

    with pytest.raises(rh.InputError, match=LOST) as caught:
        edit(editor)
    with pytest.raises(rh.InputError, match=LOST):
        editor.decode(latents, height=SIDE, width=SIDE)
    with pytest.raises(rh.InputError, match=LOST):
        editor.chain(SOURCE, [rh.Edit("make it red")], steps=2, height=SIDE, width=SIDE)

    assert "tile_sample_stride_height up to the tile" in str(caught.value)
    assert "disable_tiling()" in str(caught.value)


@pytest.mark.parametrize("family", ["edit", "plus", "2.1", "toy"])
def test_tiles_without_gaps_work(new, family):
    """The picture has its size."""
    editor = new(family)
    stride = {} if family == "2.1" else FITTING  # its latents are as large as a tile
    tile = dict.fromkeys(TILE, 64) if family == "2.1" else TILE
    editor.pipe.vae.enable_tiling(**tile, **stride)

    assert edit(editor).image.size == (SIDE, SIDE)


def test_tiles_that_no_picture_is_cut_into_are_nobodys_business(new):
    """One that is not larger than a tile is encoded whole."""
    editor = new("plus")
    untiled = edit(editor).latents
    editor.pipe.vae.enable_tiling(tile_sample_min_height=SIDE, tile_sample_min_width=SIDE)

    assert torch.equal(untiled, edit(editor).latents)


def test_only_an_axis_that_is_cut_counts(new):
    """A stride of the other one says nothing."""
    editor = new("plus")
    editor.pipe.vae.enable_tiling(tile_sample_min_height=32, tile_sample_stride_height=16)

    assert edit(editor).image.size == (SIDE, SIDE)


def test_tiles_that_begin_within_a_latent_are_refused(new, never_encoded):
    """They would be laid beside their places."""
    editor = new("plus")
    editor.pipe.vae.enable_tiling(**TILE, tile_sample_stride_height=18, tile_sample_stride_width=18)
    never_encoded(editor)

    with pytest.raises(rh.InputError, match="do not begin where one of its latents, of 4 pixels"):
        edit(editor)


def test_a_vae_that_returns_another_size_is_named(new, monkeypatch):
    """On the way out and on the way in, whatever the reason is."""
    editor = new("plus")
    decode, encode = editor.pipe.vae.decode, editor.pipe._encode_vae_image
    editor.pipe.vae.enable_tiling(tile_sample_min_height=256)

    monkeypatch.setattr(
        editor.pipe.vae, "decode", lambda *a, **k: (decode(*a, **k)[0][..., :48, :32],)
    )
    with pytest.raises(rh.ModelError, match="a picture of 32x48 pixels in place of 64x64") as one:
        edit(editor)
    monkeypatch.setattr(editor.pipe, "_encode_vae_image", lambda **k: encode(**k)[..., :8, :8])
    with pytest.raises(rh.ModelError, match="encoding reference 1 at 64x64, returned 16 tokens"):
        edit(editor)

    assert "256 pixels with a stride of 192 (height)" in str(one.value)
