"""Token layout: dropped tokens, empty slots and positions."""

from __future__ import annotations

import pytest
import tiny
import torch
from diffusers.models.transformers.transformer_qwenimage import QwenDoubleStreamAttnProcessor2_0
from seeing import seeing
from sized import ARGS, PROMPT, editor_for

import refhooks as rh

KEEP = torch.tensor([0, 3, 5, 6, 11, 20, 40, 63])


class Keep:
    """Passes on some tokens of the first reference."""

    @rh.hookimpl(trylast=True)
    def refhooks_conditioning(self, inputs):
        return inputs.fill(0, rh.Tokens(inputs.slots[0].latents, keep=KEEP))


class MaskedKeys(QwenDoubleStreamAttnProcessor2_0):
    """The stock processor, with some of the reference's keys masked for everyone."""

    def __init__(self, tokens, target):
        super().__init__()
        self.tokens, self.target = tokens, target

    def __call__(self, attn, hidden_states, encoder_hidden_states, encoder_hidden_states_mask=None,
                 attention_mask=None, image_rotary_emb=None):  # fmt: skip
        dropped = torch.ones(self.tokens, dtype=torch.bool)
        dropped[KEEP] = False
        start = encoder_hidden_states.shape[1] + self.target
        length = encoder_hidden_states.shape[1] + hidden_states.shape[1]
        mask = torch.ones(length, dtype=torch.bool)
        mask[start : start + self.tokens] = ~dropped
        with seeing(mask):
            return super().__call__(
                attn, hidden_states, encoder_hidden_states, None, None, image_rotary_emb
            )


@pytest.mark.parametrize("zero_cond_t", [False, True])
@pytest.mark.parametrize("resolution", [None, 128 * 128], ids=["same", "larger"])
@pytest.mark.parametrize("references", [1, 2])
def test_dropped_tokens_equal_masked_keys(zero_cond_t, resolution, references):
    """Dropping is exact, also at t = 0 modulation and where the reference exceeds the target."""
    pipe = tiny.build("plus", "middle", zero_cond_t=zero_cond_t)
    others = [tiny.picture(5)] * (references - 1)
    first = rh.Reference(tiny.picture(), resolution=resolution)
    arguments = {"references": [first, *others][1:], "steps": 2, "seed": 1}
    # The source's own resolution follows the checkpoint, so a larger one is set there.
    checkpoint = rh.Checkpoint(output=64 * 64, reference=resolution or 64 * 64, vision=64 * 64)
    editor = rh.Editor(pipe, checkpoint=checkpoint)

    dropped = editor.edit(tiny.picture(), PROMPT, plugins=[Keep()], **arguments).latents

    rows, columns = editor.family.grid(editor.family.reference_size(tiny.picture(), None))
    target = dropped.shape[1]
    for block in pipe.transformer.transformer_blocks:
        block.attn.set_processor(MaskedKeys(rows * columns, target))
    masked = editor.edit(tiny.picture(), PROMPT, **arguments).latents
    torch.testing.assert_close(dropped, masked, atol=1e-5, rtol=0)


def rotary(pipe, **arguments):
    """The rotary frequencies of the first forward pass: of image tokens and text."""
    seen = []

    def record(_module, _args, kwargs):
        seen.append(kwargs["image_rotary_emb"])

    block = pipe.transformer.transformer_blocks[0]
    handle = block.register_forward_pre_hook(record, with_kwargs=True)
    editor_for(pipe).edit(tiny.picture(), PROMPT, steps=2, seed=1, cfg=1.0, **arguments)
    handle.remove()
    return seen


def test_an_empty_slot_moves_nothing(pipe):
    """Reference 2 keeps its place whether reference 1 is there or not, and so does the text."""
    second = [rh.Reference(tiny.picture(1))]
    both = rotary(pipe, references=second)[0]
    strategy = rh.Strategy([rh.Stage("default", [0.0, 1.0])])

    only = rotary(pipe, references=second, strategy=strategy)[0]

    target, reference = 64, 64
    assert torch.equal(both[0][:target], only[0][:target])
    assert torch.equal(both[0][target + reference :], only[0][target:])
    assert torch.equal(both[1], only[1])


def test_a_reference_at_0_leaves_the_slots_of_the_others(editor):
    """A at 0 at every step: another picture for A changes nothing, to the bit."""
    second = [rh.Reference(tiny.picture(1), rh.Stage("cross_attn", 0.7))]
    runs = [
        editor.edit(
            tiny.picture(seed), PROMPT, strategy=rh.Stage("default", 0.0), references=second, **ARGS
        ).latents
        for seed in (0, 9)
    ]
    assert torch.equal(*runs)


def test_text_stays_where_a_larger_reference_is_left_out(pipe):
    """The text starts beyond the largest picture of the run, also at steps without it."""
    large = [rh.Reference(tiny.picture(1), rh.Stage("default", [1.0, 0.0]), resolution=128 * 128)]

    first, second = rotary(pipe, references=large)

    assert torch.equal(first[1], second[1])
    assert first[0].shape[0] > second[0].shape[0]


def test_native_positions_are_the_stock_ones(pipe):
    """The table that serves dropped tokens gives the stock embedding's own values."""
    plain = rotary(pipe, references=[tiny.picture(1, (80, 40))])[0]

    class All:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, inputs):
            every = torch.arange(inputs.slots[0].latents.shape[1])
            return inputs.fill(0, rh.Tokens(inputs.slots[0].latents, keep=every))

    computed = rotary(pipe, references=[tiny.picture(1, (80, 40))], plugins=[All()])[0]

    assert torch.equal(plain[0], computed[0])
    assert torch.equal(plain[1], computed[1])


def rows_of(image):
    """The positions in a rotary table, as a set of rows."""
    return {tuple(row.tolist()) for row in torch.view_as_real(image).flatten(1)}


def at(pipe, positions, **arguments):
    """The rotary frequencies of a run whose references all have these positions."""
    stage = rh.Stage(rh.method("default", positions=positions))
    references = [rh.Reference(tiny.picture(1), stage)]
    return rotary(pipe, strategy=stage, references=references, **arguments)[0]


def test_same_lies_on_the_target(pipe):
    """The picture's tokens have the target's own positions, and the text stays."""
    native, same = at(pipe, "native"), at(pipe, "same")

    assert torch.equal(same[0][:64], native[0][:64])
    assert torch.equal(same[0][64:128], native[0][:64])
    assert torch.equal(same[1], native[1])


def test_offset_gives_every_picture_a_place_of_its_own(pipe):
    """Two references lie beside the target, on its frame, and nowhere on each other."""
    native, offset = at(pipe, "native"), at(pipe, "offset")

    assert torch.equal(offset[0][:64], native[0][:64])
    assert len(rows_of(offset[0])) == 3 * 64
    frame = offset[0][:, :2]  # the first axis has 4 of the 16 channels: 2 complex ones
    assert torch.equal(frame, frame[:1].expand_as(frame))
    assert torch.equal(offset[1], native[1])


def test_offset_stays_where_a_reference_or_tokens_are_left_out(pipe):
    """The second picture keeps its place when the first is at 0, or only partly there."""
    offset = rh.method("default", positions="offset")
    second = [rh.Reference(tiny.picture(1), rh.Stage(offset))]
    arguments = {"references": second, "strategy": rh.Stage(offset, [1.0, 0.0])}

    both, only = rotary(pipe, **arguments)

    assert torch.equal(both[0][128:], only[0][64:])
    assert torch.equal(both[1], only[1])


@pytest.mark.parametrize("positions", ["natve", "index", None])
def test_positions_that_the_family_does_not_know_are_refused(pipe, positions):
    """A plugin's tokens too; the message says what there is."""

    class Misplaced:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, inputs):
            return inputs.fill(0, rh.Tokens(inputs.slots[0].latents, positions=positions))

    with pytest.raises(rh.HookReturnError, match="must be one of native, same, offset"):
        editor_for(pipe).edit(tiny.picture(), PROMPT, plugins=[Misplaced()], **ARGS)


def test_indices_beyond_the_picture_are_refused(pipe):
    """Before anything is looked up on the device."""

    class Beyond:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, inputs):
            keep = torch.tensor([0, 64])
            return inputs.fill(0, rh.Tokens(inputs.slots[0].latents, keep=keep))

    with pytest.raises(rh.HookReturnError, match=r"slot 0\.keep must name tokens from 0 to 63"):
        editor_for(pipe).edit(tiny.picture(), PROMPT, plugins=[Beyond()], **ARGS)


@pytest.mark.parametrize("positions", ["index", "uxo", None])
def test_unknown_positions_are_refused(positions):
    """The option says what it takes."""
    with pytest.raises(rh.InputError, match="positions"):
        rh.method("default", positions=positions)
