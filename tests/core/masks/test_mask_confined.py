"""What a reference adds is exactly zero outside its region, whoever wrote its method."""

from __future__ import annotations

import attrs
import pytest
import tiny
import torch
from confining import (
    LEFT,
    METHODS,
    OUTSIDE,
    RIGHT,
    TOKENS,
    Stranger,
    Watched,
    Weights,
    strategy,
)
from plugs import plugin

import refhooks as rh

BOTH = pytest.mark.parametrize("cfg", [1.0, 3.0])


def watched(edit, method, *masks, strength=0.6, **kwargs):
    """Return the values of a run, before and after its only reference."""
    seen = Watched()
    edit(strategy=strategy(method, *masks, strength=strength), plugins=seen.plugins, **kwargs)
    return seen


def changes(seen):
    """Return (what it was, what became of it) for every tensor on the target's grid."""
    found = [("latents", *pair) for pair in seen.pairs("step")]
    found += [("velocity", *pair) for pair in seen.pairs("velocity")]
    for before, after in seen.pairs("conditioning"):
        found.append(("target", before.target, after.target))
        if after.added is not None:
            found.append(("added", torch.zeros_like(after.added), after.added))
    return found


@BOTH
@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_added_outside_a_region(edit, name, cfg):
    """In no hook's return, to the bit; and something is inside, where the method acts at all."""
    seen = watched(edit, METHODS[name], rh.mask(LEFT), steps=3, cfg=cfg)

    touched = {kind for kind, old, new in changes(seen) if not torch.equal(old, new)}
    for _, old, new in changes(seen):
        assert torch.equal(old[:, OUTSIDE], new[:, OUTSIDE])
    assert {
        "guidance": {"velocity"}, "concat": {"added"}, "inject pull": {"velocity"},
        "inject add latents": {"latents"}, "inject blend latents": {"latents"},
    }.get(name, set() if name in TOKENS else {"target"}) == touched  # fmt: skip


@pytest.mark.parametrize("name", [it for it in METHODS if it not in (*TOKENS, "inject keep")])
def test_inside_a_region_it_is_what_it_was(edit, name):
    """Where the method first does anything, to the bit."""
    masked = changes(watched(edit, METHODS[name], rh.mask(LEFT)))
    free = changes(watched(edit, METHODS[name]))

    pairs = zip(masked, free, strict=True)
    first = next(pair for pair in pairs if not torch.equal(pair[1][1], pair[1][2]))

    (_, before, inside), (_, without, everywhere) = first
    assert torch.equal(before, without)
    assert torch.equal(inside[:, ~OUTSIDE], everywhere[:, ~OUTSIDE])


@BOTH
@pytest.mark.parametrize("name", [*TOKENS, "inject keep"])
def test_no_query_outside_attends_to_the_reference(edit, pipe, name, cfg):
    """Its weight is 0 for target tokens outside and for the prompt, 1 for its own queries."""
    masked = strategy(METHODS[name], rh.mask(LEFT))
    with Weights(pipe) as weights:
        edit(strategy=masked, cfg=cfg)

    given = [call[1] for call in weights.calls if call and 1 in call]
    assert given
    for weight in given:
        text = weight.shape[0] - 32
        target, own = weight[text : text + 16], weight[text + 16 :]
        assert (target[OUTSIDE] == 0).all()
        assert (target[~OUTSIDE] > 0).all()
        assert (weight[:text] == 0).all()
        assert (own == 1).all()


@pytest.mark.parametrize(("text", "expected"), [("full", 1.0), ("area", 0.5), ("none", 0.0)])
@pytest.mark.parametrize("references", [1, 2, 3])
def test_who_else_attends_to_it(edit, pipe, references, text, expected):
    """The prompt by ``text``, other references not at all; those have no weight of their own."""
    masked = rh.Reference(
        tiny.picture(5, (32, 32)), strategy("default", rh.mask(LEFT, text=text), strength=1)
    )
    others = [tiny.picture(number, (32, 32)) for number in range(1, references)]
    with Weights(pipe) as weights:
        edit(masked, references=others)

    assert weights.calls
    for call in weights.calls:
        weight = call[1]
        length = weight.shape[0] - 16 * (1 + references)
        assert (weight[:length] == expected).all()
        assert torch.equal(weight[length : length + 16], (~OUTSIDE).float())
        assert (weight[length + 16 : length + 32] == 1).all()
        assert (weight[length + 32 :] == 0).all()
        assert all(call[place] is None for place in range(2, 1 + references))


@pytest.mark.parametrize("strength", [0.05, 0.25, 1.0])
def test_a_region_that_holds_in_part_weighs_in_part(edit, pipe, strength):
    """All that is outside of it, other references too, by what the mask leaves: 1 − strength."""
    masked = strategy("default", rh.mask(LEFT, strength=strength, text="full"), strength=1)
    with Weights(pipe) as weights:
        edit(strategy=masked, references=[tiny.picture(1, (32, 32))])

    left = torch.tensor(1 - strength)
    assert weights.calls
    for call in weights.calls:
        text, target, own, other = call[1].split([call[1].shape[0] - 48, 16, 16, 16])
        assert (text == 1).all()
        torch.testing.assert_close(target, torch.where(OUTSIDE, left, 1.0))
        assert (own == 1).all()
        torch.testing.assert_close(other, left.expand(16))


class Restless:
    """A stranger's object that changes everything there is, everywhere."""

    def __init__(self, reference, run):
        self.slot, self.tokens = reference.index, reference.latents
        self.run = run

    @rh.hookimpl
    def refhooks_step(self, latents):
        return latents + 1

    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        added = inputs.target.new_ones(*inputs.target.shape[:2], 32)
        slots = inputs.fill(self.slot, rh.Tokens(self.tokens))
        return attrs.evolve(slots, target=inputs.target * 2, added=added)

    @rh.hookimpl
    def refhooks_attention(self, layout):
        return [rh.AttentionEdit(self.slot, weight=torch.full((1, layout.length), 2.0))]

    @rh.hookimpl
    def refhooks_velocity(self, velocity):
        return velocity - 3

    @rh.hookimpl
    def refhooks_image(self, images):
        return 1 - images


def test_a_strangers_method_is_confined(edit, pipe):
    """In all it returns: latents, target, what is added, velocity, attention, pictures."""
    with Weights(pipe) as weights:
        seen = watched(edit, Stranger(Restless), rh.mask(LEFT, text="none"))

    for kind, old, new in changes(seen):
        assert torch.equal(old[:, OUTSIDE], new[:, OUTSIDE]), kind
        assert not (old == new)[:, ~OUTSIDE].any(), kind
    for call in weights.calls:
        assert (call[1][:-32] == 0).all()
        assert torch.equal(call[1][-32:-16], 2 * (~OUTSIDE).float())
    ((before, after),) = seen.pairs("image")
    assert torch.equal(after[..., 16:], before[..., 16:])
    assert torch.equal(after[..., :16], 1 - before[..., :16])


def test_what_is_taken_away_is_confined_too(edit):
    """A method that empties what others added empties it inside its region."""
    taken = Stranger(lambda *_: plugin(refhooks_conditioning=lambda inputs: attrs.evolve(
        inputs, added=None)))  # fmt: skip
    other = rh.Reference(tiny.picture(2, (32, 32)), strategy(taken, rh.mask(LEFT), strength=1))

    seen = Watched()
    edit(strategy=strategy(METHODS["concat"]), references=[other], plugins=seen.plugins)

    for _, after in seen.pairs("conditioning"):
        assert (after.added[:, ~OUTSIDE] == 0).all()
        assert (after.added[:, OUTSIDE] != 0).any()


def test_loaded_keys_are_confined(edit, pipe):
    """Also where the slot itself is empty."""
    buffers = torch.ones(2, 1, 16, 2, 16)

    class Loads:
        def __init__(self, reference, run):
            self.slot = reference.index

        @rh.hookimpl
        def refhooks_attention(self, layout):
            keys = rh.KeyValues(buffers, buffers)
            return [rh.AttentionEdit(self.slot, load=keys)]

    with Weights(pipe) as weights:
        edit(strategy=strategy(Stranger(Loads), rh.mask(LEFT)))

    assert weights.calls
    for call in weights.calls:
        assert torch.equal(call[1][-16:], (~OUTSIDE).float())


class Blends(Watched):
    """What the model sees where two references are blended in."""

    def __init__(self, edit, first, second, **kwargs):
        super().__init__()
        other = rh.Reference(tiny.picture(5, (32, 32)), second)
        edit(strategy=first, references=[other], plugins=self.plugins, steps=3, **kwargs)
        self.targets = [after.target for _, after in self.pairs("conditioning")]


def test_blends_in_disjoint_regions_do_not_scale_each_other(edit):
    """Each half is what it is where the other reference is not there."""
    method, off = METHODS["inject blend"], strategy("default", strength=0, vision="always")
    hidden = {"vision": "always"}
    left = strategy(method, rh.mask(LEFT), strength=1.5, **hidden)
    right = strategy(method, rh.mask(RIGHT), strength=1.5, **hidden)

    both = Blends(edit, left, right)
    alone = Blends(edit, left, off), Blends(edit, off, right)

    # The first step changes nothing, at sigma 1; at the second all begin with the same latents.
    assert torch.equal(both.targets[1][:, ~OUTSIDE], alone[0].targets[1][:, ~OUTSIDE])
    assert torch.equal(both.targets[1][:, OUTSIDE], alone[1].targets[1][:, OUTSIDE])


def test_blends_that_overlap_share_where_they_do(edit):
    """Where both act their weights are scaled to 1; elsewhere the one alone is not."""
    method = METHODS["inject blend"]
    whole = strategy(method, strength=1.5)
    left = strategy(method, rh.mask(LEFT), strength=1.5)

    part, everywhere = Blends(edit, whole, left), Blends(edit, whole, whole)
    alone = Blends(edit, whole, strategy(method, strength=0, vision="always"))

    inside = part.targets[1][:, ~OUTSIDE], everywhere.targets[1][:, ~OUTSIDE]
    torch.testing.assert_close(*inside, atol=1e-6, rtol=0)
    assert torch.equal(part.targets[1][:, OUTSIDE], alone.targets[1][:, OUTSIDE])


def test_masks_multiply(edit):
    """Two regions act where both cover; half and half cover a quarter."""
    masks = [rh.mask(LEFT), rh.mask("0,0,100%,50%")]
    half = [rh.mask(torch.full((32, 32), 0.5))] * 2

    seen = watched(edit, METHODS["inject add latents"], *masks, steps=2)
    quarter = watched(edit, METHODS["inject add latents"], *half, steps=2)
    free = watched(edit, METHODS["inject add latents"], steps=2)

    before, after = seen.pairs("step")[1]
    changed = (before != after).any(dim=2)[0].reshape(4, 4)
    assert changed.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    added = [after - before for before, after in (quarter.pairs("step")[1], free.pairs("step")[1])]
    torch.testing.assert_close(added[0], added[1] / 4, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["default", "cross_attn", "inject add", "concat", "guidance"])
def test_cells_that_are_covered_in_part(edit, name):
    """A region that cuts through tokens runs, in a batch as alone."""
    masks = [rh.mask("0,0,37%,61%", feather=3)]

    result = edit(strategy=strategy(METHODS[name], *masks), n=2, cfg=2.0, check="eager")

    assert result.latents.shape[0] == 2
    alone = edit(strategy=strategy(METHODS[name], *masks), seed=2, cfg=2.0).latents
    torch.testing.assert_close(result.latents[1:], alone, atol=1e-4, rtol=0)


def test_bfloat16():
    """Outside the region not a bit changes there either."""
    pipe = tiny.build("plus", "middle", dtype=torch.bfloat16)
    area = 32 * 32
    editor = rh.Editor(
        pipe, checkpoint=rh.Checkpoint(output=area, reference=area, vision=area)
    )  # fmt: skip
    for name in ("default", "inject add", "inject blend", "concat", "cross_attn"):
        seen = Watched()
        with Weights(pipe) as weights:
            editor.edit(
                tiny.picture(0, (32, 32)), "make it blue", steps=2, seed=1, cfg=2.0, check="eager",
                strategy=strategy(METHODS[name], rh.mask(LEFT)), plugins=seen.plugins,
            )  # fmt: skip
        found = changes(seen)
        for _, old, new in found:
            assert torch.equal(old[:, OUTSIDE], new[:, OUTSIDE])
        if name in TOKENS:
            targets = [call[1][-32:-16] for call in weights.calls]
            assert len(targets) == 4
            assert all((it > 0).tolist() == (~OUTSIDE).tolist() for it in targets)
        else:
            assert any(not torch.equal(old, new) for _, old, new in found)


@pytest.mark.parametrize("text", ["full", "area", "none"])
def test_a_region_that_covers_everything_is_no_mask(edit, pipe, text):
    """Whatever its `text`, every query outside of the reference attends as without the mask."""
    masked = strategy(METHODS["cross_attn"], rh.mask("0,0,100%,100%", text=text))
    with Weights(pipe) as weights:
        edit(strategy=masked)

    given = [call[1] for call in weights.calls if call and 1 in call]
    assert given
    for weight in given:
        prompt = weight.shape[0] - 32
        assert (weight[:prompt] == weight[prompt]).all()
