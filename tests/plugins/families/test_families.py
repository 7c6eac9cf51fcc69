"""One contract over all families: the rows are in `tests/families_table.py`."""

from __future__ import annotations

import pytest
import torch
from families_table import STEPS, WAYS, assert_close, ways_of

import refhooks as rh

pytestmark = pytest.mark.long
FEW = ("none", "switch")


@pytest.fixture(scope="module")
def plain(row, editor):
    """What every way makes of a pipeline to which nothing was done."""
    return ways_of(row, editor)


def test_without_a_strategy_it_is_the_stock_pipeline(row, editor, plain):
    """To the bit, with the model's own guidance."""
    assert torch.equal(plain["none"], row.stock(editor, row.pictures(1)))


def test_in_bfloat16_too(row):
    """Where one order of rounding is not another."""
    if row.load is not None:
        pytest.skip("it comes in one type")
    own = row.editor(dtype=torch.bfloat16)

    result = row.edit(own, row.pictures(1)).latents

    assert torch.equal(result, row.stock(own, row.pictures(1)))


@pytest.mark.parametrize("method", ["default", "cross_attn", "inject", "concat", "guidance"])
def test_strength_0_is_no_picture(row, editor, plain, method):
    """Two pictures of one size give one result."""
    made = rh.method(method, tied=True) if method == "concat" else method
    one, other = (
        row.edit(editor, row.pictures(1, first), rh.Stage(made, 0.0)).latents for first in (0, 5)
    )

    assert torch.equal(one, other)
    assert not torch.equal(one, plain["none"])


@pytest.mark.parametrize("method", ["default", "cross_attn", "guidance"])
def test_strength_1_is_the_stock_pipeline(row, editor, plain, method):
    """For the methods on the model's own tokens."""
    result = row.edit(editor, row.pictures(1), rh.Stage(method, 1.0))

    assert torch.equal(result.latents, plain["none"])


def test_every_way_acts(row, editor, plain):
    """Methods, masks, a switch: each gives latents of its own; reuse does where it is not exact."""
    values = {name: it for name, it in plain.items() if name != "reuse"}
    names = list(values)

    assert all(bool(torch.isfinite(it).all()) for it in plain.values())
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            assert not torch.equal(values[name], values[other]), (name, other)
    assert torch.equal(plain["reuse"], plain["cross_attn"]) is editor.family.reuse_exact


def test_a_region_mask_adds_nothing_where_it_does_not_reach(row, editor):
    """Of what inject mixes in: it is what no picture gives there."""
    region = rh.mask(box="0,0,50%,100%", kind="region")
    before = {}

    class Mixed:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, ctx, inputs):
            if ctx.step.index == STEPS - 1:
                before.setdefault("seen", inputs.target)

        @rh.hookimpl(tryfirst=True)
        def refhooks_step(self, ctx, latents):
            if ctx.step.index == STEPS - 1:
                before["latents"] = latents

    row.edit(
        editor, row.pictures(1), rh.Strategy(rh.Stage("inject", 0.6), masks=[region]),
        plugins=[Mixed()],
    )  # fmt: skip

    rows, columns = editor.family.grid(rh.Size(row.side, row.side))
    changed = (before["seen"] - before["latents"]).abs().amax(dim=-1).view(rows, columns)
    assert float(changed[:, columns // 2 :].max()) == 0.0
    assert float(changed[:, : columns // 2].min()) > 0.0


def test_as_many_references_as_it_takes(row, editor, plain):
    """Two, and the most: the stock pipeline's, to the bit. One more is refused before encoding."""
    most = editor.family.max_references
    for count in sorted({min(2, most), most}):
        pictures = row.pictures(count)
        result = row.edit(editor, pictures).latents

        assert torch.equal(result, row.stock(editor, pictures))
        assert torch.equal(result, plain["none"]) is (count == 1)
    with pytest.raises(rh.InputError, match=f"takes at most {most} references"):
        row.edit(editor, row.pictures(most + 1))


def test_shares_are_recorded(row, editor, plain):
    """Of every step and block; they sum to 1, and recording changes nothing."""
    result = row.edit(editor, row.pictures(1), record_attention=True)

    assert torch.equal(result.latents, plain["none"])
    assert result.attention_shares.shape[:3] == (STEPS, editor.family.blocks, 2)
    sums = result.attention_shares.sum(dim=2)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_after_an_exception_the_next_run_is_clean(row, editor, plain):
    """In the middle of a run with everything on the model; processors are the stock ones again."""
    before = dict(editor.pipe.transformer.attn_processors)

    def fail(step, *_):
        if step == 1:
            raise RuntimeError("stopped in the middle")

    for way in ("reuse", "region mask", "concat", "content mask"):
        with pytest.raises(RuntimeError, match="stopped in the middle"):
            row.edit(editor, row.pictures(1), WAYS[way], callback=fail)

    assert before == dict(editor.pipe.transformer.attn_processors)
    assert_close(plain, ways_of(row, editor, FEW))


def test_replay(row, editor, tmp_path):
    """Of the picture that was saved: the same to the bit."""
    row.pictures(1)[0].save(tmp_path / "photo.png")
    made = row.edit(editor, [tmp_path / "photo.png"], WAYS["switch"])
    made.save(tmp_path / "made.png")

    with row.quiet():
        again = editor.replay(tmp_path / "made.png")

    assert torch.equal(made.latents, again.latents)
