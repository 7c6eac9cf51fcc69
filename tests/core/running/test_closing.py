"""``close()`` of what methods bind runs always, whatever else fails."""

from __future__ import annotations

import pytest
import tiny
from plugs import Made

import refhooks as rh


class Closes:
    """A bound object that notes that it was closed, and may fail at it."""

    def __init__(self, closed, name, *, fails=False):
        self._closed, self._name, self._fails = closed, name, fails

    @rh.hookimpl
    def refhooks_step(self, latents):
        return latents

    def close(self):
        self._closed.append(self._name)
        if self._fails:
            raise ValueError("on purpose")


def test_a_failing_close_does_not_keep_the_others_open(edit):
    """In the order of the call; the error names the plugin."""
    closed = []
    first = Made(lambda *_: Closes(closed, "first", fails=True))
    second = Made(lambda *_: Closes(closed, "second"))

    with pytest.raises(ValueError, match="on purpose") as caught:
        edit(strategy=first, references=[rh.Reference(tiny.picture(1), second)])

    assert closed == ["first", "second"]
    assert caught.value.__notes__ == ["raised by made (reference 1, stage 1), close"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_was_bound_is_closed_where_the_next_cannot_be_bound(edit, error):
    """Of another reference, or of a plugin of the call."""
    closed = []

    def fail(*_):
        raise error("on purpose")

    strategy = Made(lambda *_: Closes(closed, "first"))
    with pytest.raises(error, match="on purpose"):
        edit(strategy=strategy, references=[rh.Reference(tiny.picture(1), Made(fail))])

    assert closed == ["first"]


def test_what_is_closed_is_closed_once(edit):
    """At the end of a run that went well."""
    closed = []

    edit(strategy=Made(lambda *_: Closes(closed, "first")))

    assert closed == ["first"]
