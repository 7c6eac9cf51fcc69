"""Edits that wait for each other on one transformer."""

from __future__ import annotations

import copy
import threading

import pytest
import tiny
import torch

import refhooks as rh
from refhooks._base.turns import turns_of
from refhooks.batch import Job, edit_batch

CALLS = {
    "edit": lambda editor, wait: editor.edit(tiny.picture(), "b", steps=2, seed=2, wait=wait),
    "chain": lambda editor, wait: editor.chain(
        tiny.picture(), [rh.Edit("b"), rh.Edit("c")], steps=2, seed=2, wait=wait
    ),
    "batch": lambda editor, wait: edit_batch(
        editor, [Job(tiny.picture(), "b", seed=2)], steps=2, wait=wait
    ),
}


class Held:
    """An edit that stands still in its first step until it is let go."""

    def __init__(self, editor):
        self.stands, self.go_on = threading.Event(), threading.Event()
        self.thread = threading.Thread(
            target=editor.edit,
            args=(tiny.picture(), "a"),
            kwargs={"steps": 2, "seed": 1, "callback": self.stand},
        )

    def stand(self, *_):
        self.stands.set()
        assert self.go_on.wait(60)

    def __enter__(self):
        self.thread.start()
        assert self.stands.wait(60)
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self.thread.join(60)


@pytest.fixture
def recipe(editor, tmp_path):
    """A saved edit, to be replayed."""
    tiny.picture().save(tmp_path / "photo.png")
    result = editor.edit(tmp_path / "photo.png", "b", steps=2, seed=2)
    return result.save(tmp_path / "made.png")[0]


@pytest.mark.parametrize("name", [*CALLS, "replay"])
def test_it_waits_for_the_edit_that_runs(editor, recipe, name):
    """And is then what it is alone; without waiting, or not long enough, it is refused."""
    calls = {**CALLS, "replay": lambda editor, wait: editor.replay(recipe, wait=wait)}
    made = []
    with Held(editor) as held:
        for wait in (False, 0, 0.01):
            with pytest.raises(rh.BusyError, match=r"wait=True"):
                calls[name](editor, wait)
        thread = threading.Thread(target=lambda: made.append(calls[name](editor, True)))
        thread.start()
        while not turns_of(editor.family.transformer)._waiting:
            pass
        held.go_on.set()
        thread.join(60)

    alone = calls[name](editor, False)
    latents = [getattr(it, "results", (it,))[-1].latents for it in (made[0], alone)]
    assert latents[0].equal(latents[1])


def test_what_cannot_be_used_is_refused_before_the_wait(editor):
    """Nobody waits for an error."""
    with Held(editor), pytest.raises(rh.InputError, match="height must be a multiple of 8"):
        editor.edit(tiny.picture(), "b", steps=2, height=50, wait=True)


def test_an_edit_within_an_edit_is_refused(editor):
    """It would wait for itself; the outer one ends with that."""

    def inner(*_):
        editor.edit(tiny.picture(), "b", steps=2, wait=True)

    with pytest.raises(rh.BusyError, match="within another"):
        editor.edit(tiny.picture(), "a", steps=2, callback=inner)

    assert not turns_of(editor.family.transformer).is_taken


def test_an_edit_that_fails_lets_the_next_one_run(editor):
    """Its callback raised; the queue goes on."""

    def fail(*_):
        raise KeyError("stop")

    with pytest.raises(KeyError):
        editor.edit(tiny.picture(), "a", steps=2, callback=fail)

    assert editor.edit(tiny.picture(), "b", steps=2, wait=True).images


@pytest.mark.parametrize("name", CALLS)
def test_a_wait_that_is_none_is_refused(editor, never_called, name):
    """Before anything runs."""
    with never_called(), pytest.raises(rh.InputError, match="wait must be"):
        CALLS[name](editor, -1)


@pytest.mark.parametrize("strategy", [rh.Stage("cross_attn", 0.6), rh.Stage("default", 1.4)])
def test_both_may_edit_attention(editor, strategy):
    """What the one that runs has put on the model is not what the one that waits is refused for."""
    call = {"steps": 2, "seed": 1, "strategy": strategy}
    alone = editor.edit(tiny.picture(), "b", **call).latents
    stands, go_on, made = threading.Event(), threading.Event(), []

    def stand(*_):
        stands.set()
        assert go_on.wait(60)

    first = threading.Thread(
        target=lambda: made.append(editor.edit(tiny.picture(), "b", callback=stand, **call))
    )
    first.start()
    assert stands.wait(60)
    second = threading.Thread(
        target=lambda: made.append(editor.edit(tiny.picture(), "b", wait=True, **call))
    )
    second.start()
    while not turns_of(editor.family.transformer)._waiting:
        assert second.is_alive()
    go_on.set()
    for thread in (first, second):
        thread.join(60)

    assert len(made) == 2
    assert all(torch.equal(alone, result.latents) for result in made)


def test_a_model_that_was_copied_amid_an_edit_is_refused(editor):
    """It has on it what that edit put there, and nobody takes it off."""
    copies = []

    def callback(step, *_):
        if step == 0:
            copies.append(copy.deepcopy(editor.pipe))

    strategy = rh.Stage("cross_attn", 0.6)
    editor.edit(tiny.picture(), "b", steps=2, strategy=strategy, callback=callback)
    other = rh.Editor(copies[0], checkpoint=editor.checkpoint)

    with pytest.raises(rh.InputError, match="amid which it was copied; copy it between edits"):
        other.edit(tiny.picture(), "b", steps=2, strategy=strategy)
