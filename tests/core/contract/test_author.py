"""What a plugin author writes: a small plugin, alone and among others."""

from __future__ import annotations

import attrs
import torch

import refhooks as rh


class Nudge:
    """Adds to the latents before the second step, and quietens the prompt in the first."""

    def __init__(self, amount):
        self.amount = amount

    @rh.hookimpl
    def refhooks_step(self, ctx, latents):
        if ctx.step.index != 1:
            return None
        return latents + self.amount

    @rh.hookimpl
    def refhooks_conditioning(self, ctx, branch, inputs):
        if ctx.step.index != 0 or branch.name != "cond":
            return None
        quiet = attrs.evolve(inputs.text, embeds=inputs.text.embeds * 0.5)
        return attrs.evolve(inputs, text=quiet)


def test_a_plugin_of_twenty_lines_changes_latents_and_conditioning(edit, pipe):
    """Each through its hook, at its step, and nothing after the run."""
    texts, latents = [], []
    handle = pipe.transformer.txt_norm.register_forward_pre_hook(
        lambda _module, args: texts.append(args[0])
    )
    before = []
    try:
        plain = edit(callback=lambda _step, x, _x0: before.append(x), cfg=1.0)
        nudged = edit(callback=lambda _step, x, _x0: latents.append(x), cfg=1.0,
                      plugins=[Nudge(0.1)])  # fmt: skip
    finally:
        handle.remove()

    first, second, third, halved, *rest = texts
    assert torch.equal(first * 0.5, halved)
    assert all(torch.equal(first, text) for text in (second, third, *rest))
    assert torch.equal(before[0], latents[0])
    assert not torch.equal(before[1], latents[1])
    assert not torch.equal(plain.latents, nudged.latents)
    assert torch.equal(plain.latents, edit(cfg=1.0).latents)


def test_a_change_of_the_latents_is_exactly_what_was_returned(edit):
    """The step works with the returned latents, not with a copy of the old ones."""
    before, after = [], []

    class Look:
        @rh.hookimpl(tryfirst=True)
        def refhooks_step(self, latents):
            before.append(latents)

    edit(plugins=[Look(), Nudge(0.25)], callback=lambda _step, latents, _x0: after.append(latents))

    assert torch.equal(before[1] + 0.25, after[1])
    assert before[2] is after[2]


def test_an_added_branch_is_run_and_seen(edit, clean):
    """A branch of a plugin's own is predicted like the family's, and changes nothing by itself."""
    seen = []

    class Twice:
        @rh.hookimpl
        def refhooks_branches(self, branches):
            return [*branches, rh.Branch("again", text="cond")]

        @rh.hookimpl
        def refhooks_velocity(self, predictions):
            seen.append((list(predictions), torch.equal(predictions["cond"], predictions["again"])))

    result = edit(plugins=[Twice()])

    assert seen == [(["cond", "uncond", "again"], True)] * 3
    assert torch.equal(clean, result.latents)


def test_a_velocity_is_what_the_scheduler_integrates(edit):
    """A velocity of zero leaves the noise as it was."""

    class Still:
        @rh.hookimpl
        def refhooks_velocity(self, velocity):
            return velocity * 0

    seen = []
    result = edit(plugins=[Still()], callback=lambda _step, latents, _x0: seen.append(latents))

    assert torch.equal(seen[0], result.latents)


def test_some_tokens_of_a_reference_keep_their_places(edit, pipe):
    """Tokens(latents, keep) passes on the rows kept, at their positions in the whole picture."""
    positions, rows = [], torch.tensor([1, 2, 7])

    class Some:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, ctx, inputs):
            if ctx.step.index == 0:
                return None
            return inputs.fill(0, rh.Tokens(inputs.slots[0].latents, keep=rows))

    block = pipe.transformer.transformer_blocks[0]
    handle = block.register_forward_pre_hook(
        lambda _module, _args, kwargs: positions.append(kwargs["image_rotary_emb"]),
        with_kwargs=True,
    )
    try:
        edit(plugins=[Some()], cfg=1.0)
    finally:
        handle.remove()

    (whole, text), (part, text_then), _ = positions
    assert torch.equal(torch.cat([whole[:16], whole[16:][rows]]), part)
    assert torch.equal(text, text_then)


def test_keeping_every_token_is_the_whole_reference(edit, clean):
    """To the bit."""

    class All:
        @rh.hookimpl(trylast=True)
        def refhooks_conditioning(self, inputs):
            latents = inputs.slots[0].latents
            return inputs.fill(0, rh.Tokens(latents, keep=torch.arange(latents.shape[1])))

    assert torch.equal(clean, edit(plugins=[All()]).latents)


def test_adding_nothing_changes_nothing(edit, clean):
    """`added` joins after the input projection, in the target's part alone."""

    class Add:
        def __init__(self, value):
            self.value = value

        @rh.hookimpl
        def refhooks_conditioning(self, inputs):
            batch, tokens, _ = inputs.target.shape
            noise = torch.randn(batch, tokens, 32, generator=torch.Generator().manual_seed(0))
            return attrs.evolve(inputs, added=noise * self.value)

    assert torch.equal(clean, edit(plugins=[Add(0.0)]).latents)
    assert not torch.allclose(clean, edit(plugins=[Add(0.5)]).latents, atol=1e-3)
