"""Two editors on one pipeline, and edits in threads and on an event loop."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading

import pytest
import tiny
import torch

import refhooks as rh

WAYS = [None, rh.Stage("cross_attn", 0.6), rh.Stage("inject", 0.5), rh.Stage("default", 0.4)]
EDITS = [rh.Edit("make it blue"), rh.Edit("make it red", strategy=rh.Stage("cross_attn", 0.6))]


@pytest.fixture(scope="module")
def own():
    """A pipeline of this module's own."""
    return tiny.build("plus", "middle")


@pytest.fixture(scope="module")
def pair(own):
    """Two editors on it, which encode references and show pictures at sizes of their own."""
    return [
        rh.Editor(own, checkpoint=rh.Checkpoint(output=32**2, reference=area, vision=area))
        for area in (32**2, 48**2)
    ]


def edited(editor, way=0, **options):
    """Latents of one edit."""
    call = {"steps": 2, "seed": way, "cfg": 2.0, "strategy": WAYS[way], **options}
    return editor.edit(tiny.picture(), "make it blue", **call).latents


@pytest.fixture(scope="module")
def alone(pair):
    """What each of them makes when nothing else is there; no two are alike."""
    latents = [[edited(editor, way) for way in range(len(WAYS))] for editor in pair]
    assert not torch.equal(latents[0][0], latents[1][0])
    return latents


def test_two_editors_take_turns(pair, alone):
    """Each makes what it makes alone, whatever the other did before."""
    for way in (0, 1, 2, 3, 1, 0):
        for editor, expected in zip(pair, alone, strict=True):
            assert torch.equal(expected[way], edited(editor, way))


def test_two_editors_are_one_queue(pair, alone):
    """One within the other's callback is refused in one sentence, and the other goes on."""
    refused = []

    def callback(*_):
        with pytest.raises(rh.BusyError) as caught:
            edited(pair[1])
        refused.append(str(caught.value))

    assert torch.equal(alone[0][1], edited(pair[0], 1, callback=callback))
    assert len(refused) == 2
    assert refused[0].startswith("this transformer already runs an edit; let this one wait")


def test_chains_of_two_editors_in_turn(pair):
    """Their edits may alternate; each chain is what it is alone."""

    def chain(editor):
        return editor.chain(tiny.picture(), EDITS, steps=2, seed=1, wait=True).results

    expected = [[it.latents for it in chain(editor)] for editor in pair]
    found = [None, None]
    threads = [
        threading.Thread(target=lambda n=n: found.__setitem__(n, chain(pair[n]))) for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    for one, other in zip(expected, found, strict=True):
        assert all(map(torch.equal, one, [it.latents for it in other]))


def test_an_edit_in_a_thread(pair, alone):
    """A thread records gradients unless told otherwise; an edit there is as in the main one."""
    found = []
    thread = threading.Thread(target=lambda: found.append(edited(pair[0], 1)))
    thread.start()
    thread.join(60)

    assert torch.equal(alone[0][1], found[0])
    assert not found[0].requires_grad


def test_edits_on_an_event_loop(pair, alone):
    """`asyncio.to_thread`: those that wait are right, in any order."""

    async def all_of_them():
        return await asyncio.gather(
            *[asyncio.to_thread(edited, pair[n % 2], n % len(WAYS), wait=True) for n in range(8)]
        )

    found = asyncio.run(all_of_them())

    for n, latents in enumerate(found):
        assert torch.equal(alone[n % 2][n % len(WAYS)], latents)


def test_edits_on_an_event_loop_that_do_not_wait(pair, alone):
    """One is right, what comes meanwhile is refused, and nothing stays taken."""

    async def two():
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        refused = threading.Event()

        def callback(*_):
            loop.call_soon_threadsafe(started.set)
            assert refused.wait(60)

        first = asyncio.create_task(asyncio.to_thread(edited, pair[0], 1, callback=callback))
        await started.wait()
        with pytest.raises(rh.BusyError, match="wait=True"):
            await asyncio.to_thread(edited, pair[1], 0)
        refused.set()
        return await first

    assert torch.equal(alone[0][1], asyncio.run(two()))
    assert torch.equal(alone[1][0], edited(pair[1], 0))


def test_a_task_that_is_cancelled_leaves_its_edit_running(pair, alone):
    """A thread cannot be stopped: its edit ends, and the next one has its turn after it."""

    async def cancelled():
        started = asyncio.Event()
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(
            asyncio.to_thread(
                edited, pair[0], callback=lambda *_: loop.call_soon_threadsafe(started.set)
            )
        )
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await asyncio.to_thread(edited, pair[0], 1, wait=True)

    assert torch.equal(alone[0][1], asyncio.run(cancelled()))


def test_an_editor_is_not_sent_to_another_process(pair, alone):
    """As by `multiprocessing`, which pickles it; what it made, and strategies, may go anywhere."""
    with pytest.raises(rh.InputError, match="not sent to another process; have each process make"):
        pickle.dumps(pair[0].edit)

    result = pair[0].edit(tiny.picture(), "make it blue", steps=2, seed=1, strategy=WAYS[1])
    again = pickle.loads(pickle.dumps(result))
    assert result.image.tobytes() == again.image.tobytes()
    assert result.recipe == again.recipe
    strategy = pickle.loads(pickle.dumps(rh.Strategy([WAYS[1]])))
    assert strategy == rh.Strategy([WAYS[1]])


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_a_copy_of_an_editor_edits(pair, alone, how):
    """A deep one has a model of its own."""
    other = how(pair[0])

    assert (other.pipe is pair[0].pipe) is (how is copy.copy)
    assert other.family.pipe is other.pipe
    assert torch.equal(alone[0][1], edited(other, 1))
