"""Token layout: dropped tokens, empty slots and positions."""

from __future__ import annotations

import pytest
import tiny
import torch
from diffusers.models.transformers.transformer_qwenimage import QwenDoubleStreamAttnProcessor2_0
from test_run import ARGS, PROMPT, editor_for

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
        stock = torch.nn.functional.scaled_dot_product_attention
        torch.nn.functional.scaled_dot_product_attention = lambda *args, **kwargs: stock(
            *args, **{**kwargs, "attn_mask": mask[None, None, None]}
        )
        try:
            return super().__call__(
                attn, hidden_states, encoder_hidden_states, None, None, image_rotary_emb
            )
        finally:
            torch.nn.functional.scaled_dot_product_attention = stock


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


def test_positions_of_default(pipe):
    """Same lies on the target; offset lies beside it; both move nothing else."""
    grid, frames = (48, 64), {}
    for positions in ("native", "same", "offset"):
        strategy = rh.Stage(rh.method("default", positions=positions))
        image, _ = rotary(pipe, strategy=strategy, height=grid[0], width=grid[1])[0]
        frames[positions] = image
    target = (grid[0] // 8) * (grid[1] // 8)

    for image in frames.values():
        assert torch.equal(image[:target], frames["native"][:target])
    # 64x64 on 8x8 tokens: its rows 1-6 lie on the target's rows, column by column.
    assert torch.equal(frames["same"][target + 8 : target + 56], frames["same"][:target])
    beside = {tuple(row.tolist()) for row in torch.view_as_real(frames["offset"]).flatten(1)}
    assert len(beside) == len(frames["offset"])


@pytest.mark.parametrize("positions", ["index", "uxo", None])
def test_unknown_positions_are_refused(positions):
    """The option says what it takes."""
    with pytest.raises(rh.InputError, match="positions"):
        rh.method("default", positions=positions)
