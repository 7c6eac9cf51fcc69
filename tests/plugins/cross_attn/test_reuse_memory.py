"""The memory of reuse: said before it is taken, bounded, and given back however a run ends."""

from __future__ import annotations

import gc
import weakref

import pytest
import tiny
import torch

import refhooks as rh
from refhooks_cross_attn import _memory

PASS = 2 * 2 * 16 * 32 * 4  # keys and values, blocks, tokens, width, bytes of float32


class Fails:
    """A plugin of the call that raises at a step."""

    def __init__(self, error, step):
        self.error, self.step = error, step

    @rh.hookimpl
    def refhooks_velocity(self, ctx):
        if ctx.step.index == self.step:
            raise self.error("broken")


@pytest.fixture
def buffers(monkeypatch):
    """Weak references to all buffers of keys and values that are made."""
    made = []
    zeros = torch.zeros

    def watched(*arguments, **options):
        tensor = zeros(*arguments, **options)
        if tensor.ndim == 5:
            made.append(weakref.ref(tensor))
        return tensor

    monkeypatch.setattr(torch, "zeros", watched)
    return made


def alive(buffers):
    """The buffers that something still holds."""
    gc.collect()
    return [held() for held in buffers if held() is not None]


@pytest.mark.parametrize(("reuse", "passes"), [("once", 1), ("every 2", 2)])
def test_one_pair_of_buffers_a_branch_for_the_whole_run(editor, run, buffers, reuse, passes):
    """As much as the plan says, however often it stores; nothing is left at the end."""
    sizes = []
    result = run(
        editor, 0.8, {"reuse": reuse}, cfg=2.0 * passes - 1.0,
        callback=lambda *_: sizes.append(sum(held.nbytes for held in alive(buffers))),
    )  # fmt: skip

    assert len(buffers) == 2 * passes
    assert max(sizes) == passes * PASS
    assert f"{passes * PASS / 2**20:.2f} MiB" in result.timetable.remarks[0]
    assert alive(buffers) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("step", [0, 3, 5])
def test_after_an_error_memory_is_given_back(editor, run, buffers, error, step):
    """At once, also while the exception's traceback is kept; afterwards the tensors go too."""
    with pytest.raises(error) as caught:
        run(editor, 0.8, {"reuse": "every 2"}, plugins=[Fails(error, step)])

    held = alive(buffers)
    assert held
    assert sum(tensor.untyped_storage().nbytes() for tensor in held) == 0
    del caught, held
    assert alive(buffers) == []


def test_a_stage_gives_its_memory_back_when_it_ends(editor, run, buffers):
    """The next stage does not add to it; a step later it is gone."""
    strategy = rh.Strategy([
        rh.Stage(rh.method("cross_attn", reuse="once"), 0.8, until=0.5),
        rh.Stage("default"),
    ])  # fmt: skip
    counts = []

    run(editor, strategy=strategy, callback=lambda *_: counts.append(len(alive(buffers))))

    assert counts == [2, 2, 2, 0, 0, 0]


@pytest.mark.parametrize("strength", [[1, 0, 0, 0, 0, 0], [0.0] * 6])
def test_nothing_is_kept_that_nothing_reads(editor, run, buffers, strength):
    """A single step, or none."""
    run(editor, strength, {"reuse": "once"})

    assert buffers == []


def test_content_masks_save_memory(editor, run, buffers):
    """Only the tokens that are used are kept."""
    stage = rh.Stage(rh.method("cross_attn", reuse="once"), 0.8)
    masks = [rh.mask("0,0,50%,100%", kind="content")]

    result = run(editor, strategy=rh.Strategy([stage], masks=masks))

    assert len(buffers) == 2
    assert f"{PASS / 2 / 2**20:.2f} MiB" in result.timetable.remarks[0]


def test_a_limit_is_kept_before_anything_is_encoded(editor, run, never_called, monkeypatch):
    """Also of a batch and of a plan; the error says how much it would be, and what to do."""
    limit = 2.5 * PASS / 2**30
    how = {"reuse": "once", "memory_limit": limit}
    assert run(editor, 0.8, how, cfg=3.0).drift == ()
    monkeypatch.setattr(type(editor.family), "open", None)

    with never_called(), pytest.raises(rh.InputError) as caught:
        run(editor, 0.8, how, cfg=3.0, n=2)

    message = str(caught.value)
    assert message.startswith("cross_attn, reference 1: the keys and values to reuse take 0.03 MiB")
    assert f"memory_limit is {limit:g} GiB" in message
    assert "lower the reference's resolution" in message


def test_what_the_device_lacks_is_refused_before_the_first_step(
    editor, run, never_called, buffers, monkeypatch
):
    """With both numbers, instead of an allocator's error in mid-run."""
    monkeypatch.setattr(_memory, "free_bytes", lambda _device: PASS)

    with never_called(), pytest.raises(rh.OutOfMemoryError, match=r"but cpu has 0.01 MiB left"):
        run(editor, 0.8, {"reuse": "once"}, cfg=3.0)

    assert buffers == []


def test_what_several_references_keep_is_added_up(editor, run, never_called, monkeypatch):
    """Each of them alone would fit."""
    monkeypatch.setattr(_memory, "free_bytes", lambda _device: 1.5 * PASS)
    stage = rh.Stage(rh.method("cross_attn", reuse="once"), 0.8)
    other = rh.Reference(tiny.picture(1, (32, 32)), stage)
    run(editor, strategy=stage)

    with never_called(), pytest.raises(rh.OutOfMemoryError) as caught:
        run(editor, strategy=stage, references=[other])

    message = str(caught.value)
    assert message.startswith("cross_attn, reference 2: the keys and values to reuse take 0.01 MiB")
    assert "beside the 0.01 MiB of other references, but cpu has 0.01 MiB left" in message


def test_this_machine_says_what_it_has_left():
    """Where it can be known at all."""
    free = _memory.free_bytes(torch.device("cpu"))

    assert free is None or free > 2**20
    assert _memory.free_bytes(torch.device("meta")) is None
