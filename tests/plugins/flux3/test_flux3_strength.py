"""What streams of their own mean for strength; of all families: `plugins/families`."""

from __future__ import annotations

import pytest
import torch
from small3 import SIDE, rgb

import refhooks as rh
from refhooks import testing


def latents(small, **options):
    """Of an edit of one picture with no strategy."""
    return small.edit([testing.picture(0, (SIDE, SIDE))], **options).latents


def test_shares_are_recorded(small):
    """Of every block, of two streams and of one; recording changes nothing."""
    plain, recorded = (small.edit(rgb(2), record_attention=on) for on in (False, True))

    assert torch.equal(plain.latents, recorded.latents)
    shares = recorded.attention_shares
    assert shares.shape == (3, 2, 3, 1)
    torch.testing.assert_close(shares.sum(dim=2), torch.ones(3, 2, 1))


class Scaling:
    """Changes the values of text and target in one block alone."""

    def __init__(self, block, blocks=2, **edit):
        self.scale = torch.ones(blocks, 1)
        self.scale[block] = 1.5
        self.edit = edit

    @rh.hookimpl
    def refhooks_attention(self):
        """An edit of the group of both."""
        return [rh.AttentionEdit("base", **(self.edit or {"value_scale": self.scale}))]


@pytest.mark.parametrize("block", [0, 1])
def test_what_acts_on_text_and_target_does_in_every_block(small, block):
    """Also in those where each is alone."""
    scaled = latents(small, plugins=[Scaling(block)])

    assert not torch.equal(scaled, latents(small))


def test_keys_of_text_and_target_are_not_kept(small):
    """They have streams of their own; said at the first step."""
    shape = (2, 1, 80 + 256, 2, 16)
    store = rh.KeyValues(torch.zeros(shape), torch.zeros(shape))

    with pytest.raises(rh.PluginError, match=r"streams of their own.*group 'base'"):
        latents(small, plugins=[Scaling(0, store=store)])


def test_other_references_are_weighed_in_their_own_blocks(small):
    """At a strength next to 0 a second picture is as good as absent for the first one too."""
    pictures = rgb(2)
    second = [
        small.edit(pictures[:1], references=[rh.Reference(pictures[1], rh.Stage(*way))]).latents
        for way in (("cross_attn", 1e-6), ("cross_attn", 0.0), ("cross_attn", 1.0))
    ]

    torch.testing.assert_close(second[0], second[1], atol=1e-4, rtol=0)
    assert float((second[1] - second[2]).abs().max()) > 1e-3
