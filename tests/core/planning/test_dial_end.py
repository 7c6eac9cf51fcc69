"""Strengths beyond the value at which a method's dial ends."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest

import refhooks as rh


@attrs.frozen
class Short:
    """A stranger's, which ends at a half."""

    name: ClassVar[str] = "test-short"
    dial_end: ClassVar[float] = 0.5

    def bind(self, reference, run):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (rh.Stage("default", 1.0), []),
        (rh.Stage("default", [0.2, 1.3]), ["strength 1.3 is beyond 1, the end of default's dial"]),
        (rh.Stage("inject", 1.3), []),
        (rh.Stage(Short(), 0.6), ["strength 0.6 is beyond 0.5, the end of test-short's dial"]),
        (rh.Stage(Short(), 0.5), []),
    ],
)
def test_a_plan_says_where_a_dial_ends(stage, said):
    """Once for a reference, below the table; of a stranger's method as of ours."""
    assert [f"reference 1: {it}" for it in said] == rh.plan(stage, 2).notes()
