"""Masks over a run: strength per step, stages, the timetable, and masks that do nothing."""

from __future__ import annotations

import pytest
import tiny
import torch
from confining import (
    LEFT,
    METHODS,
    OUTSIDE,
    RIGHT,
    Stranger,
    Watched,
    Weights,
    strategy,
)
from plugs import plugin

import refhooks as rh

UPPER = "0,0,100%,50%"
SOME = ("default", "cross_attn", "inject add", "inject keep", "guidance", "concat")
KINDS = {
    "region": {"kind": "region", "text": "none"},
    "content": {"kind": "content"},
    "soft": {"kind": "content", "soft": True},
}


def run(edit, method, *masks, **kwargs):
    """Edit with a second reference that has masks, seen by the text encoder too."""
    reference = rh.Reference(tiny.picture(3, (32, 32)), strategy(METHODS[method], *masks))
    return edit(references=[reference], **kwargs)


@pytest.mark.parametrize("method", SOME)
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_mask_is_no_mask(edit, method, kind):
    """To the bit, and so is one whose strength is 0 at every step."""
    free = run(edit, method).latents

    for given in ({"invert": True}, {"strength": 0}, {"strength": [0, 0]}):
        box = "100%,0,1,1" if "invert" in given else LEFT
        masked = run(edit, method, rh.mask(box, **KINDS[kind], **given))
        assert torch.equal(masked.latents, free)
        assert masked.timetable.steps[0].rows[1].area is None


@pytest.mark.parametrize("method", SOME)
@pytest.mark.parametrize("kind", KINDS)
def test_strength_per_step(edit, method, kind):
    """At 0 a step is, to the bit, what it is without mask; at 1 what it is with it."""
    step = METHODS[method], KINDS[kind]

    def predictions(*masks):
        seen = []
        stage = rh.Strategy([rh.Stage(step[0], 0.6)], masks=masks, vision="never")
        reference = rh.Reference(tiny.picture(3, (32, 32)), stage)
        edit(references=[reference], steps=3, callback=lambda *it: seen.append(it[2]))
        return seen

    free = predictions()
    late = predictions(rh.mask(LEFT, **step[1], strength=[0, 0, 1]))
    early = predictions(rh.mask(LEFT, **step[1], strength=[1, 1, 0]))
    masked = predictions(rh.mask(LEFT, **step[1]))

    assert torch.equal(late[0], free[0])
    assert torch.equal(late[1], free[1])
    assert not torch.equal(late[2], free[2])
    if kind == "region":  # what is hidden at some steps only is encoded with the picture
        assert torch.equal(early[0], masked[0])
        assert torch.equal(early[1], masked[1])
    assert not torch.equal(early[1], free[1])


def test_a_strength_between(edit, pipe):
    """The cover c acts as 1 − s·(1 − c), on the target and on the prompt."""
    mask = rh.mask(LEFT, text="none", strength=[0.25, 0.75])
    with Weights(pipe) as weights:
        result = edit(strategy=strategy("default", mask, strength=1))

    for call, held in zip(weights.calls, (0.25, 0.75), strict=True):
        assert (call[1][-32:-16][OUTSIDE] == 1 - held).all()
        assert (call[1][-32:-16][~OUTSIDE] == 1).all()
        assert (call[1][:-32] == 1 - held).all()
    assert [step.rows[0].masks for step in result.timetable.steps] == [(0.25,), (0.75,)]
    assert [step.rows[0].area for step in result.timetable.steps] == [0.875, 0.625]


def test_a_schedule(edit):
    """A short form or a schedule runs over the whole run, whatever the stages."""
    stages = [rh.Stage("default", until=0.5), rh.Stage("cross_attn", 0.5)]
    for given in ("0:1", rh.schedule("linear", start=0, end=1)):
        masks = [rh.mask(LEFT, strength=given)]
        timetable = rh.plan(rh.Strategy(stages, masks=masks), 5)
        held = [step.rows[0].masks[0] for step in timetable.steps]
        assert held == [0.0, 0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("strength", "message"),
    [
        ([1.0], "strength lists 1 numbers, but the run has 2 steps"),
        ("0:2", "must be a number from 0 to 1"),
        ("nonsense", "is neither a number nor a schedule"),
    ],
)
def test_strengths_that_do_not_fit(edit, strength, message):
    """The reference and the mask are named."""
    with pytest.raises(rh.StrategyError, match=message) as caught:
        edit(strategy=strategy("default", rh.mask(LEFT, strength=strength)))
    assert "reference 1, mask 1 (region 'box')" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "edit"}, "kind must be one of"),
        ({"text": "some"}, "text must be one of"),
        ({"feather": -1}, "feather must be a number from 0 to 4096"),
        ({"feather": True}, "feather must be a number"),
        ({"strength": 1.5}, "strength must be a number from 0 to 1"),
        ({"invert": 1}, "invert must be true or false"),
        ({"soft": True}, "soft is for content masks"),
        ({"box": LEFT}, "got both"),
    ],
)
def test_options_of_masks(options, message):
    """Each is refused by name."""
    with pytest.raises(rh.InputError, match=message):
        rh.mask(LEFT, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_mask(edit, never_called, kind):
    """Says which mask it is and what to do, before anything runs."""
    empty = rh.mask("100%,0,10,10", **KINDS[kind])
    with (
        never_called(),
        pytest.raises(rh.InputError, match="covers nothing, so the reference could") as it,
    ):
        run(edit, "default", rh.mask(LEFT), empty)
    assert f"reference 2, mask 2 ({empty.kind} 'box')" in str(it.value)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_that_share_nothing(edit, never_called, kind):
    """Two halves leave the reference nothing, unless they hold at different steps."""
    halves = [rh.mask(it, **KINDS[kind]) for it in (LEFT, RIGHT)]
    with (
        never_called(),
        pytest.raises(rh.InputError, match="reference 2: its masks multiply, and no place"),
    ):
        run(edit, "default", *halves)

    turns = zip((LEFT, RIGHT), ([1, 0], [0, 1]), strict=True)
    result = run(edit, "default", *[rh.mask(it, **KINDS[kind], strength=s) for it, s in turns])

    areas = [step.rows[1].area for step in result.timetable.steps]
    assert areas == ([0.5, 0.5] if kind == "region" else [None, None])


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("references", [1, 2, 3])
def test_the_timetable_is_what_reaches_the_model(edit, pipe, references, cfg):
    """Area and tokens of each reference at each step, with stages and strengths of 0."""
    masks = [rh.mask(UPPER, kind="content", strength=[1, 1, 0.4, 1]), rh.mask(LEFT)]
    strategies = [
        rh.Strategy(
            [rh.Stage("default", [1, 0], until=0.5), rh.Stage("cross_attn", 0.5)], masks=masks
        ),
        rh.Strategy([rh.Stage("inject", until=0.5), rh.Stage("default")], masks=masks[1:]),
        rh.Strategy([rh.Stage("cross_attn", 0.5)], masks=masks[:1]),
    ][:references]
    pictures = [tiny.picture(number, (32, 32)) for number in range(references)]
    given = [rh.Reference(*pair) for pair in zip(pictures, strategies, strict=True)]
    seen = Watched()

    with Weights(pipe) as weights:
        result = edit(given[0], references=given[1:], plugins=seen.plugins, steps=4, cfg=cfg)

    branches = 1 if cfg == 1.0 else 2
    slots = [after.slots for _, after in seen.pairs("conditioning")][::branches]
    counts = [
        [0 if it is None else 16 if it.keep is None else len(it.keep) for it in step]
        for step in slots
    ]
    rows = [step.rows for step in result.timetable.steps]
    assert [[row.tokens for row in step] for step in rows] == counts
    assert counts == [
        [8, 0, 8][:references], [0, 0, 8][:references], [16, 16, 16][:references],
        [8, 16, 8][:references],
    ]  # fmt: skip
    assert [[row.area for row in step] for step in rows] == [[0.5, 0.5, None][:references]] * 4
    for call, step in zip(weights.calls[::branches], counts, strict=True):
        length = sum(step)
        for place in range(1, 1 + min(2, references)):
            if step[place - 1]:
                target = call[place][-length - 16 : -length]
                assert torch.equal(target > 0, ~OUTSIDE)


def test_a_plan_is_what_runs(editor, edit):
    """Pictures given, plan and run give one timetable, printed alike."""
    masks = [rh.mask("0,0,40%,70%", feather=4), rh.mask(UPPER, kind="content", feather=2)]
    given = [
        rh.Reference(tiny.picture(0, (48, 32)), strategy("default", *masks)),
        rh.Reference(tiny.picture(1, (32, 48)), strategy("inject", *masks[:1])),
    ]

    planned = rh.plan(given, 3, editor=editor)
    result = edit(given[0], references=given[1:], steps=3)

    assert planned == result.timetable
    assert str(planned) == str(result.timetable)
    assert rh.plan(given[0].strategy, 3).steps[0].rows[0].area is None


def test_a_region_lies_on_the_source(edit):
    """Not on the reference, whose shape is another."""
    masked = strategy(METHODS["inject add latents"], rh.mask("0,0,16,32"))
    seen = Watched()

    edit(references=[rh.Reference(tiny.picture(1, (96, 32)), masked)], plugins=seen.plugins)

    before, after = seen.pairs("step")[1]
    assert torch.equal((before != after).any(dim=2)[0], ~OUTSIDE)


def test_content_lies_on_the_reference(edit):
    """In its own pixels, on its own tokens."""
    picture = tiny.picture(1, (128, 64))

    def tokens(*masks):
        masked = strategy("default", *masks, strength=1)
        return (
            edit(references=[rh.Reference(picture, masked, resolution="native")])
            .timetable.steps[0]
            .rows[1]
            .tokens
        )

    assert tokens() == 16 * 8
    assert tokens(rh.mask("0,0,32,64", kind="content")) == 4 * 8


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_content_on_the_targets_grid(edit, fit):
    """It is fitted as its picture is."""
    method = rh.method("inject", where="latents", fit=fit)
    masked = strategy(method, rh.mask("0,0,50%,100%", kind="content"))
    seen = Watched()

    edit(references=[rh.Reference(tiny.picture(1, (64, 32)), masked)], plugins=seen.plugins)

    before, after = seen.pairs("step")[1]
    assert torch.equal((before != after).any(dim=2)[0], ~OUTSIDE)


def test_content_that_fit_cuts_off_warns(edit):
    """Nothing of it is left on the target's grid."""
    masked = strategy("inject", rh.mask("0,0,5,32", kind="content"))
    with pytest.warns(rh.RefhooksWarning, match="fit='cover' cuts off what it covers"):
        edit(references=[rh.Reference(tiny.picture(1, (64, 32)), masked)])


def test_without_masks_nothing_runs(edit, monkeypatch):
    """No value is confined where no reference has a mask, and no processor is put on."""
    from refhooks._core.masks.compositing import MaskCompositor

    def never(*_args, **_kwargs):
        raise AssertionError

    for name in ("tensor", "inputs", "attention", "image", "target", "keep"):
        monkeypatch.setattr(MaskCompositor, name, never)
    edit(strategy=strategy("default"), references=[rh.Reference(
        tiny.picture(1), strategy("inject", rh.mask("100%,0,1,1", invert=True)))])  # fmt: skip


@pytest.mark.parametrize("method", ["inject add", "concat"])
def test_a_region_without_tokens_needs_no_processor(edit, pipe, method):
    """The stock ones stay in place: nothing of attention is edited."""
    stock = [block.attn.processor for block in pipe.transformer.transformer_blocks]
    seen = []

    edit(
        strategy=strategy(METHODS[method], rh.mask(LEFT)),
        callback=lambda *_: seen.append(
            [b.attn.processor for b in pipe.transformer.transformer_blocks]
        ),
    )

    assert all(now == stock for now in seen)


def asks_again(reference, _run):
    """A stranger's object that asks for the reference on the target's grid at every step."""
    return plugin(refhooks_step=lambda latents: latents + reference.fitted())


@pytest.mark.parametrize("method", [METHODS["inject keep"], Stranger(asks_again)])
def test_tensors_of_masks_are_made_once(edit, monkeypatch, method):
    """At later steps with the same strengths nothing is multiplied, and no index is looked for."""
    from refhooks._core.masks import compositing

    made = []
    product = compositing._product
    monkeypatch.setattr(compositing, "_product", lambda *it: made.append(1) or product(*it))
    masks = [rh.mask(LEFT), rh.mask(UPPER, kind="content")]

    counts = []
    for steps in (2, 6):
        made.clear()
        edit(strategy=strategy(method, *masks), steps=steps, cfg=2.0)
        counts.append(len(made))

    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("name", ["inject add", "inject add latents", "inject pull", "concat"])
@pytest.mark.parametrize("kinds", [("content", "content"), ("region", "content")])
def test_masks_that_share_nothing_of_what_is_fitted(edit, name, kinds):
    """What has no tokens acts where the fitted picture is covered, so that is where to look."""
    masks = [rh.mask(it, kind=kind) for it, kind in zip((LEFT, RIGHT), kinds, strict=True)]
    seen = Watched()

    with pytest.warns(rh.RefhooksWarning, match=r"reference 2, stage 1\): its masks multiply, and"):
        run(edit, name, *masks, plugins=seen.plugins)

    for old, new in (*seen.pairs("step"), *seen.pairs("velocity")):
        assert torch.equal(old, new)
    for before, after in seen.pairs("conditioning"):
        assert torch.equal(before.target, after.target)
        assert after.added is None or not after.added.any()


def test_what_is_dropped_and_what_is_scaled_share_nothing(edit, never_called):
    """A hard and a soft content mask multiply too."""
    masks = [rh.mask(LEFT, kind="content"), rh.mask(RIGHT, kind="content", soft=True)]
    with never_called(), pytest.raises(rh.InputError, match="reference 2: its masks multiply"):
        run(edit, "default", *masks)
