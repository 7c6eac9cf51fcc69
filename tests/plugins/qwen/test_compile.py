"""Compiled blocks: no graph break, nothing compiled again after one run, the values of eager."""

from __future__ import annotations

import os
import shutil

import pytest
import tiny
import torch

import refhooks as rh

AREA = 32 * 32  # 16 tokens
PROMPT = "make it blue"
TWELVE = [0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.05, 1.2, 1.3, 1.4, 1.5]
FOUR = [0.2, 0.6, 0.9, 1.4]
TOP = "0,0,100%,50%"
COMPILER = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
SECOND = rh.Reference(tiny.picture(1, (32, 32)), strategy=rh.Stage("cross_attn", 0.7))

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*complex operators.*:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


def attended(strengths, **options):
    """One stage of cross_attn."""
    return rh.Stage(rh.method("cross_attn", **options), strengths)


def switched(strengths):
    """Three methods one after the other; the middle one gives no tokens."""
    first, second = len(strengths) // 3, 2 * len(strengths) // 3
    return rh.Strategy([
        rh.Stage("default", strengths[:first], until=1 / 3),
        rh.Stage("inject", strengths[first:second], until=2 / 3),
        rh.Stage("cross_attn", strengths[second:]),
    ])  # fmt: skip


def masked(strengths, kind):
    """cross_attn with a mask."""
    return rh.Strategy([attended(strengths)], masks=[rh.mask(TOP, kind=kind)])


WAYS = {
    "default": lambda strengths: rh.Stage("default", strengths),
    "inject": lambda strengths: rh.Stage("inject", strengths),
    "concat": lambda strengths: rh.Stage(rh.method("concat", tied=True), strengths),
    "guidance": lambda strengths: rh.Stage("guidance", strengths),
    "cross_attn": attended,
    "cross_attn, keys": lambda strengths: attended(strengths, gain="keys"),
    "cross_attn, separate": lambda strengths: attended(strengths, softmax="separate"),
    "cross_attn, layers": lambda strengths: attended(strengths, layers="1-1"),
    "cross_attn, reuse": lambda strengths: attended(strengths, reuse="every 2"),
    "cross_attn, region": lambda strengths: masked(strengths, "region"),
    "cross_attn, content": lambda strengths: masked(strengths, "content"),
    "switch": switched,
}


def editor_for(pipe):
    """An editor at the size of these tests."""
    return rh.Editor(pipe, checkpoint=rh.Checkpoint(output=AREA, reference=AREA, vision=AREA))


def edited(editor, strategy, **options):
    """Latents of an edit."""
    call = {"strategy": strategy, "seed": 1, "cfg": 1.0, **options}
    return editor.edit(tiny.picture(0, (32, 32)), PROMPT, **call).latents


@pytest.fixture(scope="module")
def two_editors():
    """Of one pipeline: one made before its blocks were compiled, one after."""
    torch.compiler.reset()
    pipe = tiny.build("plus", "middle")
    before = editor_for(pipe)
    pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    yield before, editor_for(pipe)
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("way", "options"),
    [
        *[(way, {}) for way in WAYS],
        ("cross_attn", {"cfg": 2.0}),
        ("cross_attn", {"references": [SECOND]}),
        ("cross_attn", {"record_attention": True}),
    ],
    ids=[*WAYS, "guided", "two references", "recorded"],
)
def test_nothing_is_compiled_again_after_one_run(two_editors, way, options):
    """Over twelve strengths; a break in the graph would be an error at once."""
    before, after = two_editors
    edited(before, WAYS[way]([0.5] * 3), steps=3, **options)

    with torch._dynamo.config.patch(error_on_recompile=True):
        edited(after, WAYS[way](TWELVE), steps=12, **options)


def test_nor_for_its_schedules_and_switches(two_editors):
    """Of one strategy, wherever they begin and end."""
    before, after = two_editors

    def strategy(start, end, until):
        schedule = rh.schedule("linear", start=start, end=end)
        return rh.Strategy([rh.Stage("cross_attn", schedule, until=until), rh.Stage("inject", 0.5)])

    edited(before, strategy(0.3, 0.9, 0.5), steps=4)

    with torch._dynamo.config.patch(error_on_recompile=True):
        edited(after, strategy(0.3, 0.9, 0.5), steps=4)
        edited(after, strategy(1.2, 0.2, 0.25), steps=8)
        edited(after, strategy(0.1, 0.7, rh.switch("sigma", below=0.6)), steps=8)


TEN = [
    "0,0,8,8", "0,0,16,16", "8,8,16,24", "0,0,40,16", "16,16,32,32", "0,0,64,24", "24,0,40,40",
    "0,8,64,40", "8,8,56,48", "0,0,64,56",
]  # fmt: skip


@pytest.mark.parametrize(
    ("way", "compute", "zero_cond_t"),
    [("default", "inside", True), ("cross_attn", "inside:halo=0,reuse=2,near=0", False)],
    ids=["zero_cond_t", "reuse"],
)
def test_nor_for_masks_of_other_sizes(way, compute, zero_cond_t):
    """After one run of a local edit, none of ten masks has a block compiled again."""
    torch.compiler.reset()
    pipe = tiny.build("plus", "middle", zero_cond_t=zero_cond_t)
    pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="eager")
    editor, lengths = editor_for(pipe), set()
    handle = pipe.transformer.register_forward_pre_hook(
        lambda _module, _args, kwargs: lengths.add(kwargs["hidden_states"].shape[1]),
        with_kwargs=True,
    )
    options = {"height": 64, "width": 64, "steps": 2, "compute": compute}
    edited(editor, WAYS[way]([0.5, 0.7]), edit_mask="16,16,24,8", **options)
    first = len(lengths)

    with torch._dynamo.config.patch(error_on_recompile=True):
        for number, mask in enumerate(TEN):
            edited(editor, WAYS[way]([0.2, 0.05 * number + 0.3]), edit_mask=mask, **options)
    handle.remove()

    assert len(lengths) >= first + 8
    assert torch._dynamo.config.assume_static_by_default
    torch.compiler.reset()


def test_runs_that_edit_no_attention_have_as_many_graphs():
    """Those of earlier runs count: after a few strategies there are more than torch allows."""
    torch.compiler.reset()
    pipe = tiny.build("plus", "middle")
    pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    editor = editor_for(pipe)

    with torch._dynamo.config.patch(recompile_limit=1):
        for way, side in (("cross_attn", 32), ("inject", 32), ("inject", 48), ("default", 64)):
            edited(editor, WAYS[way]([1.0, 1.0]), steps=2, height=side, width=side)
        assert torch._dynamo.config.recompile_limit == 1
    torch.compiler.reset()


@pytest.mark.skipif(COMPILER is None, reason="Inductor needs a C++ compiler, and there is none")
@pytest.mark.parametrize(
    ("dtype", "within"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=["fp32", "bf16"]
)
def test_values_with_inductor(dtype, within):
    """Those of eager at four strengths, relative to the largest; graphs alone do not show this."""
    torch.compiler.reset()
    plain, compiled = (tiny.build("plus", "middle", dtype=dtype) for _ in range(2))
    compiled.transformer.compile_repeated_blocks(fullgraph=True)
    editors = editor_for(plain), editor_for(compiled)
    for way in ("cross_attn", "default") if dtype == torch.float32 else ("cross_attn",):
        with torch._inductor.config.patch(compile_threads=1):
            edited(editors[1], WAYS[way]([0.5, 0.5]), steps=2)

        with torch._dynamo.config.patch(error_on_recompile=True):
            for strength in FOUR:
                expected, found = (edited(e, WAYS[way](strength), steps=2) for e in editors)
                assert (found - expected).abs().max() <= within * expected.abs().max()
    torch.compiler.reset()
