"""The method keeps the contract, and does what its formula says."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import torch
from refhooks_untwist import Untwist, locality

import refhooks as rh
from refhooks.testing import parametrize_with_checks

pytest_plugins = ["refhooks.testing.fixtures"]
README = Path(__file__).parents[1] / "README.md"


@parametrize_with_checks("untwist")
def test_it_keeps_the_contract(check):
    """By every check of `refhooks check untwist`."""
    check()


def test_pairs_are_scaled_by_frequency():
    """From high to low in each of rows and columns, and not at all in the frame's axis."""
    method = Untwist(high=0.5, low=1.5, beta=2.0, rise=0.0)

    assert method.scales((4, 6, 6)) == [1.0] * 4 + [0.5, 0.5, 0.75, 0.75, 1.5, 1.5] * 2
    assert method.axis(2) == [0.5, 0.5]


def test_both_ends_rise_over_the_run():
    """By the same amount, linearly."""
    method = Untwist(high=0.5, low=1.0, rise=0.2)

    assert method.axis(4, progress=0.5) == pytest.approx([0.6, 0.6, 1.1, 1.1])
    assert method.axis(4, progress=1.0) == pytest.approx([0.7, 0.7, 1.2, 1.2])


Run = attrs.make_class("Run", ["sigmas", "model"])
Reference = attrs.make_class("Reference", ["index", "latents"])


def edit(editor, picture, method, strength=1.0):
    """The latents of an edit of 4 steps."""
    strategy = rh.Stage(method, strength)
    return editor.edit(picture(), "a night", strategy=strategy, steps=4, seed=0).latents


def test_keys_that_are_not_scaled_are_the_models_own(tiny_editor, random_picture):
    """So it differs from `default` by what its options say, and by nothing else."""
    own = edit(tiny_editor, random_picture, "default")
    plain = edit(tiny_editor, random_picture, Untwist(high=1, low=1, rise=0))

    torch.testing.assert_close(plain, own)
    assert not torch.allclose(edit(tiny_editor, random_picture, Untwist()), own, atol=1e-3)


def test_the_edit_is_of_the_references_keys(tiny_editor, fake_steps):
    """One scale for each channel of a head, and the strength as the weight, at every step."""
    run = Run(sigmas=(1.0,) * 4, model=tiny_editor.model)
    bound = Untwist().bind(Reference(index=0, latents=torch.zeros(1, 6, 16)), run)

    edits = [bound.refhooks_attention(step)[0] for step in fake_steps]

    head = sum(tiny_editor.model.rope_axes)
    assert [(edit.group, tuple(edit.key_scale.shape)) for edit in edits] == [(0, (head,))] * 4
    assert [edit.weight.item() for edit in edits] == pytest.approx([0.7] * 4)
    assert edits[0].key_scale.min() == pytest.approx(0.4)
    assert edits[-1].key_scale.max() == pytest.approx(1.4)


def test_a_model_that_says_nothing_of_its_axes_is_refused(tiny_editor):
    """Before anything is encoded; and a plan without a model is not."""
    with pytest.raises(
        rh.InputError, match=r"does not say \(ModelInfo.rope_axes\); use cross_attn"
    ):
        Untwist().check(attrs.evolve(tiny_editor.model, rope_axes=None))
    Untwist().check(None)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"high": 3}, "high"), ({"low": -1}, "low"), ({"beta": 0}, "beta"), ({"rise": True}, "rise")],
)
def test_a_value_out_of_range_is_refused(options, words):
    """By a message that names the option."""
    with pytest.raises(ValueError, match=words):
        Untwist(**options)


def test_a_token_is_less_alike_to_its_own_place():
    """Than with the model's own keys, relative to tokens far away."""
    own = Untwist(high=1, low=1, rise=0)
    for shift in (1, 4, 16):
        kept = [
            locality.similarity(method, 56, shift) / locality.similarity(method, 56, 0)
            for method in (own, Untwist(rise=0))
        ]
        assert kept[0] < kept[1] < 1


def test_the_readmes_table_is_what_the_script_prints():
    """Run python -m refhooks_untwist.locality after changing a default."""
    assert locality.table() in README.read_text(encoding="utf-8")
