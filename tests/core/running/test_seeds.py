"""One seed is one picture, alone and in a batch, and an edit leaves the random state alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import tiny
import torch
from plugs import plugin

import refhooks as rh


def close(first, second):
    """Return whether latents are equal up to the order of a batch's sums."""
    return torch.allclose(first, second, atol=1e-4)


def test_the_same_seed_is_the_same_picture(edit, clean):
    """And another seed is another one."""
    assert torch.equal(clean, edit().latents)
    assert not torch.equal(clean, edit(seed=2).latents)


def test_a_seed_that_is_not_given_is_drawn_and_kept(edit):
    """Giving the drawn one again gives the picture again."""
    drawn = edit(seed=None)

    assert drawn.seed != edit(seed=None).seed
    assert torch.equal(drawn.latents, edit(seed=drawn.seed).latents)


def test_a_seed_gives_one_picture_alone_and_among_others(edit):
    """The noise is equal to the bit, the rest up to the order of sums."""
    noises = []

    def note(step, latents, _x0):
        if step == 0:
            noises.append(latents)

    together = edit(seed=5, n=3, callback=note)
    alone = [edit(seed=seed, callback=note) for seed in (5, 6, 7)]

    assert together.seeds == (5, 6, 7)
    assert torch.equal(noises[0], torch.cat(noises[1:]))
    assert close(together.latents, torch.cat([result.latents for result in alone]))
    assert len(together.images) == 3


def test_seeds_can_be_listed(edit):
    """In any order, and the number of pictures follows."""
    listed = edit(seed=[9, 3])

    assert listed.seeds == (9, 3)
    assert close(listed.latents[1:], edit(seed=3).latents)


def test_prompts_and_seeds_make_a_batch(edit):
    """Prompts outermost, each with its own negative prompt; padding changes nothing."""
    prompts = ["make it blue", "explain the texture of the background"]
    negatives = ["the input image", " "]

    batch = edit(prompt=prompts, negative_prompt=negatives, seed=3, n=2)
    alone = [
        edit(prompt=prompt, negative_prompt=negative, seed=seed)
        for prompt, negative in zip(prompts, negatives, strict=True)
        for seed in (3, 4)
    ]

    assert batch.seeds == (3, 4, 3, 4)
    assert len(batch.images) == 4
    assert close(batch.latents, torch.cat([result.latents for result in alone]))


@pytest.mark.parametrize("method", ["default", "inject", "guidance"])
def test_methods_work_in_a_batch(edit, method):
    """One reference steers every picture of the batch."""
    stage = rh.Stage(method, 0.5)

    batch = edit(prompt=["blue", "red"], strategy=stage, seed=3, n=2)

    for place, (prompt, seed) in enumerate([("blue", 3), ("blue", 4), ("red", 3), ("red", 4)]):
        alone = edit(prompt=prompt, strategy=stage, seed=seed)
        assert close(batch.latents[place : place + 1], alone.latents)


@pytest.mark.parametrize("number", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_of_numpy_are_whole_numbers(edit, number):
    """For seed, steps and n; the result holds a plain one."""
    result = edit(seed=number, steps=number, n=np.int64(1), cfg=np.float32(2.0))

    assert (int, 3) == (type(result.seed), len(result.timetable.steps))
    assert torch.equal(result.latents, edit(seed=3, steps=3).latents)


def test_an_edit_leaves_the_random_state_alone(edit):
    """Of torch, numpy and the standard library, also where the seed is drawn."""

    def state():
        _, keys, *rest = np.random.get_state()  # noqa: NPY002  this state is what is tested
        return torch.get_rng_state().tolist(), keys.tolist(), rest, random.getstate()

    before = state()
    edit(seed=None)

    assert before == state()


def test_the_random_state_does_not_change_an_edit(edit, clean):
    """Nothing but the seed decides."""
    with torch.random.fork_rng():
        torch.manual_seed(123)
        assert torch.equal(clean, edit().latents)


def test_the_callback_sees_every_step(edit):
    """Its number, the latents before it and the clean ones predicted; at the end they agree."""
    seen = []

    result = edit(callback=lambda *arguments: seen.append(arguments), steps=4, n=2)

    assert [step for step, _, _ in seen] == [0, 1, 2, 3]
    for _, latents, x0 in seen:
        assert result.latents.shape == latents.shape == x0.shape
        assert torch.isfinite(x0).all()
    assert torch.allclose(result.latents, seen[-1][2], atol=1e-5)


def test_an_edit_without_a_source(editor):
    """A picture from the prompt alone, at the size given."""
    result = editor.edit(None, "a night", steps=2, seed=1, height=16, width=48)

    assert result.image.size == (48, 16)
    assert result.timetable.steps[0].rows == ()


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ({}, (32, 32)),
        ({"height": 24, "width": 40}, (40, 24)),
        ({"height": 24}, (32, 24)),
        ({"width": 40}, (40, 32)),
        ({"resolution": 64 * 64}, (64, 64)),
    ],
)
def test_the_size_follows_what_is_given(edit, arguments, size):
    """One side is completed in the shape of the source, here 4:3."""
    result = edit(tiny.picture(0, (64, 48)), steps=2, **arguments)

    assert size == result.image.size


@pytest.mark.parametrize(
    ("cfg", "expected"), [(0, ["cond"]), (1, ["cond"]), (1.5, ["cond", "uncond"])]
)
def test_guidance_is_a_second_pass(edit, cfg, expected):
    """At 1 and below it is off."""
    seen = []

    edit(
        plugins=[plugin(refhooks_conditioning=lambda branch: seen.append(branch.name))],
        cfg=cfg,
        steps=2,
    )

    assert expected * 2 == seen
