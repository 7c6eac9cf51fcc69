"""Taking turns: first come, first served."""

from __future__ import annotations

import threading
import types

import pytest

import refhooks as rh
from refhooks._base.turns import Turns, seconds_of


def queue(turns, count, taken):
    """Start threads that ask one after the other; each notes its number and gives up its turn."""

    def ask(number):
        if turns.take(None):
            taken.append(number)
            turns.give()

    threads = []
    for number in range(count):
        thread = threading.Thread(target=ask, args=(number,))
        thread.start()
        threads.append(thread)
        while len(turns._waiting) < number + 1:
            pass
    return threads


def test_who_came_first_is_first():
    """However many wait."""
    turns, taken = Turns(), []
    assert turns.take(0.0)
    threads = queue(turns, 8, taken)

    turns.give()
    for thread in threads:
        thread.join(30)

    assert taken == list(range(8))
    assert not turns.is_taken


def test_nobody_waits_unasked_or_too_long():
    """Who does not wait, or not long enough, gets no turn, and is no longer in the queue."""
    turns = Turns()
    turns._owner = -1  # of another thread

    assert not turns.take(0.0)
    assert not turns.take(0.01)
    assert list(turns._waiting) == []

    turns.give()
    assert turns.take(0.0)


def test_nobody_waits_for_himself():
    """It would be for ever."""
    turns = Turns()
    turns.take(None)

    with pytest.raises(rh.BusyError, match="within another"):
        turns.take(None)


def test_an_interrupted_wait_leaves_the_queue(monkeypatch):
    """Ctrl-C while waiting; also where the turn comes at the same moment."""
    turns = Turns()
    turns._owner = -1  # of another thread

    class Interrupted(threading.Event):
        comes = False

        def wait(self, timeout=None):
            if self.comes:
                turns.give()
            raise KeyboardInterrupt

    own = types.SimpleNamespace(Event=Interrupted, get_ident=threading.get_ident)
    monkeypatch.setattr("refhooks._base.turns.threading", own)
    for Interrupted.comes in (False, True):
        with pytest.raises(KeyboardInterrupt):
            turns.take(None)
        assert list(turns._waiting) == []
        assert turns.is_taken is not Interrupted.comes


@pytest.mark.parametrize(("wait", "seconds"), [(False, 0.0), (True, None), (2, 2.0), (0.5, 0.5)])
def test_what_wait_says(wait, seconds):
    """Not at all, without an end, or so many seconds."""
    assert seconds_of(wait) == seconds


@pytest.mark.parametrize("wait", [-1, float("nan"), float("inf"), "yes", None])
def test_another_wait_is_refused(wait):
    """The message says what it may be."""
    with pytest.raises(rh.InputError, match="wait must be True, False or the most seconds"):
        seconds_of(wait)
