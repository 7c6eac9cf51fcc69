"""``compute="inside"`` on FLUX.2: target tokens that are left out, at the positions of the rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.models.transformers import transformer_flux2

import refhooks as rh
from refhooks import testing
from refhooks._core.planning.inside import around

BOX = "0,0,25%,25%"


def rgb(count):
    """Pictures of the output's size, which nothing is cut from."""
    return [testing.picture(number, (64, 64)) for number in range(count)]


@pytest.mark.parametrize("strategy", ["default", rh.Stage("cross_attn", 0.6)], ids=str)
def test_with_all_tokens_kept_it_is_the_full_run(unguided, strategy):
    """To the bit, with two pictures, on every pipeline of the family."""
    whole, near = (
        unguided.edit(rgb(2), strategy=strategy, edit_mask=BOX, compute=compute)
        for compute in ("all", rh.Inside(halo=64))
    )
    assert torch.equal(whole.latents, near.latents)
    assert np.array_equal(np.asarray(whole.image), np.asarray(near.image))


def test_what_is_left_out_is_not_there_for_anyone(unguided, monkeypatch):
    """As if the keys of these tokens were masked for all; what stays keeps its position."""
    part = unguided.edit(rgb(1), edit_mask=BOX, compute="inside", steps=2).latents
    rows, columns = unguided.editor.family.grid(rh.Size(64, 64))
    cover = torch.zeros(rows, columns)
    cover[: -(-rows // 4), : -(-columns // 4)] = 1.0
    seen = torch.zeros(rows * columns, dtype=torch.bool)
    seen[around(cover, 1)] = True
    assert 0 < int(seen.sum()) < rows * columns

    stock, run = transformer_flux2.dispatch_attention_fn, unguided.editor.family.run

    def masked(query, key, value, *args, **kwargs):
        length = key.shape[1]
        if length <= rows * columns:  # references among themselves
            return stock(query, key, value, *args, **kwargs)
        mask = torch.ones(length, dtype=torch.bool)
        start = length - rows * columns if run.tail else masked.text
        mask[start : start + rows * columns] = seen
        options = {**kwargs, "attn_mask": mask[None, None, None]}
        return stock(query, key, value, *args, **options)

    forward = run.forward

    def noting(self, ctx, branch, inputs, hidden, ids, **kept):
        masked.text = inputs.text.embeds.shape[1]
        return forward(self, ctx, branch, inputs, hidden, ids, **kept)

    monkeypatch.setattr(run, "forward", noting)
    monkeypatch.setattr(transformer_flux2, "dispatch_attention_fn", masked)
    whole = unguided.edit(rgb(1), edit_mask=BOX, steps=2).latents
    torch.testing.assert_close(part, whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("strategy", ["default", rh.Stage("cross_attn", 0.6)], ids=str)
def test_references_are_read_from_an_earlier_step(unguided, strategy):
    """With all near it is the full run; a model that keeps them itself refuses."""
    options = {"strategy": strategy, "edit_mask": BOX, "steps": 4}
    if unguided.editor.family.reuse_exact:
        with pytest.raises(rh.InputError, match="keeps the keys and values of references itself"):
            unguided.edit(rgb(2), compute=rh.Inside(reuse=2), **options)
        return
    near = unguided.edit(rgb(1), compute=rh.Inside(halo=64, reuse=2, near=64), **options).latents
    far = unguided.edit(rgb(2), compute=rh.Inside(reuse=2), check="eager", **options).latents
    torch.testing.assert_close(near, unguided.edit(rgb(1), **options).latents, atol=1e-4, rtol=0)
    assert torch.isfinite(far).all()
    assert not torch.equal(far, unguided.edit(rgb(2), compute="inside", **options).latents)
