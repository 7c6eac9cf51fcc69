"""What strength, seeds and batches promise, to the bit."""

from __future__ import annotations

import pytest
import tiny
import torch
from plugs import Made, Watch, plugin

import refhooks as rh
from refhooks import hookimpl

METHODS = {
    "default": rh.method("default"),
    "inject input": rh.method("inject", formula="add", where="input"),
    "inject latents": rh.method("inject", formula="add", where="latents"),
    "guidance": rh.method("guidance"),
    "cross_attn": rh.method("cross_attn"),
    "concat": rh.method("concat", tied=True),
}
TOKENS = ("default", "guidance", "cross_attn")  # those that fill the reference's slot
TARGET = 16  # tokens of a picture of 32x32


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("references", "off"), [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2)])
def test_strength_0_at_every_step_hides_the_picture(edit, name, references, off, cfg):
    """Two different pictures of one size give the same bits, whatever the others do."""

    def run(hidden):
        pictures = [tiny.picture(number) for number in range(references)]
        pictures[off] = hidden
        strategies = ["default"] * references
        strategies[off] = rh.Stage(METHODS[name], 0)
        others = [rh.Reference(*entry) for entry in zip(pictures[1:], strategies[1:], strict=True)]
        return edit(pictures[0], strategy=strategies[0], references=others, cfg=cfg)

    one, other = run(tiny.picture(7)), run(tiny.picture(8))

    assert torch.equal(one.latents, other.latents)
    assert one.image.tobytes() == other.image.tobytes()


@pytest.mark.parametrize("name", METHODS)
def test_a_source_at_strength_0_is_no_source(edit, editor, name):
    """With an explicit size the run is the one without a picture, also for another size."""
    size = {"height": 32, "width": 48}
    without = editor.edit(None, "a night", steps=3, seed=1, cfg=2.0, **size)

    for picture in (tiny.picture(1), tiny.picture(2, (100, 30))):
        hidden = edit(picture, "a night", strategy=rh.Stage(METHODS[name], 0), **size)
        assert torch.equal(without.latents, hidden.latents)


def test_a_last_reference_at_strength_0_is_not_there(edit, clean):
    """As if it had not been passed, whatever its size."""
    for picture in (tiny.picture(1), tiny.picture(1, (160, 16))):
        hidden = rh.Reference(picture, rh.Stage("default", 0), resolution="native")
        assert torch.equal(clean, edit(references=[hidden]).latents)


def test_a_hidden_picture_that_the_text_encoder_still_sees(edit):
    """vision="always" shows it at strength 0, "never" hides it at strength 1."""

    def run(picture, **strategy):
        reference = rh.Reference(tiny.picture(picture), rh.Strategy(**strategy))
        return edit(references=[reference]).latents

    off, on = [rh.Stage("default", 0)], [rh.Stage("default", 1)]
    assert torch.equal(run(1, stages=off), run(1, stages=off, vision="never"))
    assert torch.equal(run(1, stages=on), run(1, stages=on, vision="always"))
    assert not torch.equal(run(1, stages=off, vision="always"), run(2, stages=off, vision="always"))
    assert not torch.equal(run(1, stages=on, vision="never"), run(2, stages=on, vision="never"))
    assert not torch.equal(run(1, stages=on, vision="never"), run(1, stages=on))


def test_a_prompt_that_names_a_hidden_picture_warns(edit):
    """The text encoder does not know what is meant."""
    hidden = rh.Reference(tiny.picture(1), rh.Stage("default", 0))

    with pytest.warns(rh.RefhooksWarning, match="names Picture 2, which the text encoder is not"):
        edit(prompt="put the hat of picture 2 on Picture 1", references=[hidden])


@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("name", METHODS)
def test_strength_0_at_some_steps_leaves_the_reference_out_there(edit, name, cfg):
    """Its tokens are missing at exactly those steps, and its latents are mixed in at no other."""
    before, filled, mixed = [], set(), set()

    @hookimpl(tryfirst=True)
    def first(latents):
        before.append(latents)

    @hookimpl(trylast=True)
    def last(ctx, branch, inputs):
        if inputs.slots[1] is not None:
            filled.add((ctx.step.index, branch.name))
        if not torch.equal(inputs.target, before[-1]) or inputs.added is not None:
            mixed.add(ctx.step.index)

    edit(
        references=[rh.Reference(tiny.picture(1), rh.Stage(METHODS[name], [0.5, 0.0, 0.5, 0.0]))],
        plugins=[plugin(refhooks_step=first), plugin(refhooks_conditioning=last)],
        steps=4,
        cfg=cfg,
    )

    branches = ("cond", "uncond") if cfg > 1 else ("cond",)
    steps = (0, 2) if name in TOKENS else ()
    assert {(step, branch) for step in steps for branch in branches} == filled
    # At sigma 1, the first step, the formula of inject adds nothing.
    assert (set() if name in TOKENS else {0, 2} if name == "concat" else {2}) == mixed


def test_strength_0_at_some_steps_moves_nothing_else(edit, pipe):
    """Text, target and the other reference keep their positions while a slot is empty."""
    positions = []

    def note(_module, _args, kwargs):
        positions.append(kwargs["image_rotary_emb"])

    block = pipe.transformer.transformer_blocks[0]
    handle = block.register_forward_pre_hook(note, with_kwargs=True)
    try:
        wide = rh.Reference(
            tiny.picture(1, (160, 32)), rh.Stage("default", [1, 0, 1]), resolution="native"
        )
        edit(references=[wide, tiny.picture(2)], cfg=1.0)
    finally:
        handle.remove()

    (whole, text), (part, text_then), _ = positions
    assert (len(whole), len(part)) == (TARGET + 16 + 80 + 16, TARGET + 16 + 16)
    assert torch.equal(text, text_then)
    assert torch.equal(whole[: TARGET + 16], part[: TARGET + 16])
    assert torch.equal(whole[-16:], part[-16:])


@pytest.mark.parametrize("strength", [1.0, 0.7])
@pytest.mark.parametrize("references", [1, 2, 3])
def test_nothing_advances_the_references(edit, pipe, references, strength):
    """Their part of the model's input is bit-identical at every step and in every branch."""
    seen = []
    handle = pipe.transformer.img_in.register_forward_pre_hook(
        lambda _module, args: seen.append(args[0].clone())
    )
    pictures = [tiny.picture(number) for number in range(references)]
    stage = rh.Stage("default", strength)
    try:
        edit(
            pictures[0],
            strategy=stage,
            references=[rh.Reference(picture, stage) for picture in pictures[1:]],
            steps=4,
        )
    finally:
        handle.remove()

    assert [(1, TARGET * (1 + references), 16)] * 8 == [tuple(tensor.shape) for tensor in seen]
    for tensor in seen[1:]:
        assert torch.equal(seen[0][:, TARGET:], tensor[:, TARGET:])
    assert not torch.equal(seen[0][:, :TARGET], seen[-1][:, :TARGET])


@pytest.mark.parametrize("name", METHODS)
def test_nothing_that_crosses_a_hook_is_changed_in_place(edit, name):
    """Latents, inputs, prompts, predictions, velocities and the references' own latents."""
    watch = Watch()

    def steering(reference, run):
        watch.add(reference.latents, reference.fitted("cover"), run.noise)
        return METHODS[name].bind(reference, run)

    def watching(**when):
        @hookimpl(**when)
        def refhooks_step(latents):
            watch.add(latents)

        @hookimpl(**when)
        def refhooks_conditioning(inputs):
            watch.add(inputs.target, inputs.text.embeds)
            watch.add(*[tokens.latents for tokens in inputs.slots if tokens is not None])

        @hookimpl(**when)
        def refhooks_velocity(predictions, velocity):
            watch.add(velocity, *predictions.values())

        hooks = (refhooks_step, refhooks_conditioning, refhooks_velocity)
        return plugin(**{hook.__name__: hook for hook in hooks})

    edit(
        strategy=rh.Stage(Made(steering), 0.5),
        references=[rh.Reference(tiny.picture(1), rh.Stage(Made(steering), 0.7))],
        plugins=[watching(tryfirst=True), watching(trylast=True)],
        callback=lambda _step, latents, x0: watch.add(latents, x0),
    )

    assert len(watch.seen) > 50
    assert watch.unchanged()
