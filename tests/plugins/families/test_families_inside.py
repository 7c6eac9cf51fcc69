"""``compute="inside"`` over all families: the rows are in `tests/families_table.py`."""

from __future__ import annotations

import attrs
import pytest
import torch

import refhooks as rh

pytestmark = pytest.mark.long
BOX = "0,0,25%,25%"
WAYS = {"native": None, "cross_attn": rh.Stage("cross_attn", 0.6)}


class Naming:
    """Names tokens of the target; every one, so that the way of a part is taken."""

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        return attrs.evolve(inputs, keep=torch.arange(inputs.target.shape[1]))


@pytest.mark.parametrize("way", WAYS)
def test_every_token_named_is_the_whole_target(row, editor, way):
    """To the bit: tokens have the positions that they have in the whole."""
    pictures = row.pictures(1)
    named = row.edit(editor, pictures, WAYS[way], plugins=[Naming()]).latents
    assert torch.equal(named, row.edit(editor, pictures, WAYS[way]).latents)


@pytest.mark.parametrize("way", WAYS)
def test_a_part_is_computed(row, editor, way):
    """What is outside is to the bit as with all tokens, and something inside is not."""
    pictures = row.pictures(1)
    whole, part = (
        row.edit(editor, pictures, WAYS[way], edit_mask=BOX, compute=it).latents
        for it in ("all", rh.Inside(halo=0))
    )
    changed = (whole != part).any(dim=-1)[0]
    assert 0 < int(changed.sum()) <= len(changed) // 2
