"""What a forked process does with what its parent's other threads had; tests/core/running forks."""

from __future__ import annotations

import contextlib
import threading

import pytest
import torch

import refhooks as rh
from refhooks._base import forks
from refhooks._base.turns import Turns
from refhooks._base.weight_files.sources import Source


@pytest.fixture(autouse=True)
def not_forked(monkeypatch):
    """This process was not, whatever a test here says."""
    monkeypatch.setattr(forks._Forked, "with_torch", False)


def in_a_thread(function):
    """Call it in another thread, and wait for that."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_a_lock_of_another_thread_is_open():
    """Nobody is there who would open it; one of this thread's own stays shut until it is left."""
    lock = forks.ForkLock()
    in_a_thread(lock.__enter__)

    forks._in_child()
    with lock:
        forks._in_child()
        assert lock._lock.locked()
    assert not lock._lock.locked()


def test_a_lock_keeps_others_out():
    """As long as the ``with`` lasts, also where it ends in an error."""
    lock, seen = forks.ForkLock(), []

    def other():
        with lock:
            seen.append("other")

    thread = threading.Thread(target=other)
    with contextlib.suppress(KeyError), lock:
        thread.start()
        thread.join(0.05)
        seen.append("first")
        raise KeyError
    thread.join(30)

    assert seen == ["first", "other"]


def test_a_turn_of_another_thread_is_lost():
    """Its edit stands still for ever; who asks is told, waiting or not."""
    turns = Turns()
    in_a_thread(lambda: turns.take(0.0))

    forks._in_child()

    for seconds in (0.0, None):
        with pytest.raises(rh.BusyError, match="was forked while another thread ran an edit"):
            turns.take(seconds)


@pytest.mark.parametrize("owner", [None, 0])
def test_a_turn_that_nobody_has_is_free(owner):
    """Also one that was being handed over: no edit had begun; those who waited are gone."""
    turns = Turns()
    turns._owner = owner
    turns._waiting.append(threading.Event())

    forks._in_child()

    assert turns.take(0.0)
    turns.give()
    assert not turns.is_taken


def test_a_turn_of_this_thread_stays_its_own():
    """A fork in a callback: the edit goes on in both processes."""
    turns = Turns()
    turns.take(0.0)

    forks._in_child()

    assert not turns.take(0.0)
    turns.give()
    assert turns.take(0.0)


def test_a_file_is_hashed_anew_where_that_was_not_done(tmp_path):
    """The thread that was at it is not in this process; what is known stays known."""
    path = tmp_path / "weights"
    path.write_bytes(b"weights")
    source = object.__new__(Source)
    stat = path.stat()
    source._path, source._stamp = path, (stat.st_size, stat.st_mtime_ns)
    source._digest, source._lock, source._thread = "", forks.ForkLock(), threading.Thread()

    source._renew()
    digest = source.sha256()
    thread = source._thread
    source._renew()

    assert len(digest) == 64
    assert source._thread is thread


@pytest.mark.parametrize(("threads", "told"), [(4, 1), (1, 0)])
def test_torch_computes_by_one_thread(monkeypatch, threads, told):
    """Once, with a warning where there were more; what is set afterwards stays."""
    set_to = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)

    forks.settle()
    assert set_to == []
    forks._in_child()
    if told:
        with pytest.warns(rh.RefhooksWarning, match="forked from one that had loaded torch"):
            forks.settle()
    else:
        forks.settle()
    forks.settle()

    assert set_to == [1] * told
