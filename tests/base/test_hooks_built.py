"""What is read from the code of a ``bind``, and what is left alone."""

from __future__ import annotations

import functools

import attrs
import pytest

import refhooks as rh
from refhooks._base.hooks_built import builds


class Bound:
    @rh.hookimpl
    def refhooks_attention(self):
        return []


class Other:
    @rh.hookimpl
    def refhooks_conditioning(self, inputs):
        return inputs


class Sub(Bound):
    """It has the hook of its base."""


def decorated(function):
    """As a decorator that tells what it wraps."""

    @functools.wraps(function)
    def around(*arguments):
        return function(*arguments)

    return around


def circle(*_):
    """It calls what calls it."""
    return back()


def back():
    """The other one."""
    return circle()


class Methods:
    def direct(self):
        return Bound()

    def inherited(self):
        return Sub()

    @decorated
    def wrapped(self):
        return Bound()

    def lent(self):
        def make():
            return Bound()

        return [make][0]()

    def other(self):
        return Other()

    def either(self):
        return Bound() if self else Other()

    def strange(self):
        return attrs.make_class("Made", [])()

    def circular(self):
        return circle()

    def named(self) -> Bound:
        return KINDS["bound"]()


KINDS = {"bound": Bound}
SEEN = {
    "direct": True, "inherited": True, "wrapped": True, "lent": True, "either": True, "named": True,
    "other": False, "strange": None, "circular": None,
}  # fmt: skip


@pytest.mark.parametrize("name", SEEN)
def test_what_a_function_names(name):
    """Yes, no, or that it cannot be told."""
    assert builds(getattr(Methods(), name), "refhooks_attention") is SEEN[name]


def test_what_is_closed_over():
    """A class that only the function around knows."""

    class Own(Bound):
        pass

    def bind():
        return Own()

    assert builds(bind, "refhooks_attention") is True
    assert builds(bind, "refhooks_image") is False


def test_what_is_no_function_is_not_looked_into():
    """Nor called: neither a callable object that cannot be hashed, nor one of C."""

    class Called:
        __hash__ = None

        def __call__(self):
            raise AssertionError

    for bind in (Called(), print, None, 3, rh.Strategy):
        assert builds(bind, "refhooks_attention") is None


def test_properties_are_not_asked():
    """They may raise, or compute."""

    class Owner:
        @property
        def kind(self):
            raise AssertionError

        def bind(self):
            return self.kind()

    assert builds(Owner().bind, "refhooks_attention") is None


def test_wrappers_in_a_circle_end():
    """Whatever a decorator claims."""

    def one():
        return Bound()

    def two():
        return None

    one.__wrapped__, two.__wrapped__ = two, one

    assert builds(one, "refhooks_attention") is True
