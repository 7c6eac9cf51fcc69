"""Every plugin that ships passes the kit, as a stranger's would."""

from __future__ import annotations

import pytest

import refhooks as rh
from refhooks.testing import parametrize_with_checks

pytestmark = pytest.mark.long

OURS = [record.name for record in rh.load_registry().records if record.distribution == "refhooks"]


@parametrize_with_checks("concat")
def test_concat(check):
    """By every check."""
    check()


@parametrize_with_checks("cross_attn")
def test_cross_attn(check):
    """By every check."""
    check()


@parametrize_with_checks("default")
def test_default(check):
    """By every check."""
    check()


@parametrize_with_checks("guidance")
def test_guidance(check):
    """By every check."""
    check()


@parametrize_with_checks("inject")
def test_inject(check):
    """By every check, in three of its forms."""
    check()


@pytest.mark.parametrize("name", sorted(set(OURS) - {"concat", "cross_attn", "default",
                                                     "guidance", "inject"}))  # fmt: skip
def test_the_others(name):
    """Masks, schedules, switches, families and models, in a report."""
    from refhooks.testing import check_plugin

    assert check_plugin(name).ok


def test_nothing_of_ours_is_expected_to_fail():
    """And all of it is live."""
    assert {"default", "inject", "masking", "qwen", "schedules", "switching", "toy"} <= set(OURS)
