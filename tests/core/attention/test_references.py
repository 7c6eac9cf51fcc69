"""Several references in one call: what one may carry of another, and what adds up."""

from __future__ import annotations

import attrs
import pytest
import tiny
import torch
from sized import ARGS, PROMPT, editor_for

import refhooks as rh


class Masked:
    """Hides the second reference from every query but its own, as a region mask does."""

    @rh.hookimpl
    def refhooks_attention(self, layout):
        weight = torch.zeros(1, layout.length)
        weight[:, layout.slots[1]] = 1.0
        return [rh.AttentionEdit(1, weight)]


def test_a_masked_reference_does_not_come_back_through_another(pipe):
    """A's queries must not carry B: other pictures for B give the same result, to the bit."""
    hidden = rh.Strategy([rh.Stage("default")], vision="never")
    runs = [
        editor_for(pipe)
        .edit(
            tiny.picture(), PROMPT, references=[rh.Reference(tiny.picture(seed), hidden)],
            plugins=[Masked()], **ARGS,
        )
        .latents
        for seed in (1, 2)
    ]  # fmt: skip

    assert torch.equal(*runs)


@pytest.mark.parametrize("options", [{"gain": "keys"}, {"softmax": "separate"}, {"layers": "0-0"}])
def test_0_is_no_reference_for_every_form_of_cross_attn(editor, options):
    """To the bit: another picture changes nothing."""
    stage = rh.Stage(rh.method("cross_attn", **options), 0.0)

    runs = [
        editor.edit(tiny.picture(seed), PROMPT, strategy=stage, **ARGS).latents for seed in (0, 1)
    ]

    assert torch.equal(*runs)


class Adds:
    """Adds its share to whatever joins after the input projection."""

    def __init__(self, share):
        self.share = share

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        shape = (*inputs.target.shape[:2], 32)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * self.share
        return attrs.evolve(inputs, added=noise if inputs.added is None else inputs.added + noise)


def test_what_joins_after_the_projection_adds_up(editor):
    """Two plugins that add a quarter and three quarters are one that adds the whole."""
    two = editor.edit(tiny.picture(), PROMPT, plugins=[Adds(0.25), Adds(0.75)], **ARGS).latents
    one = editor.edit(tiny.picture(), PROMPT, plugins=[Adds(1.0)], **ARGS).latents
    none = editor.edit(tiny.picture(), PROMPT, **ARGS).latents

    torch.testing.assert_close(two, one, atol=1e-5, rtol=0)
    assert not torch.allclose(one, none, atol=1e-3)
