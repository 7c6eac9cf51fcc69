"""What the page of batches says of speed is what was measured, and within its limits."""

from __future__ import annotations

import json

import pytest
from places import BENCHMARKS


@pytest.fixture
def script(monkeypatch):
    """The benchmark."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import batch

    return batch


def test_the_page_says_what_was_measured(script):
    """Its sentence is made from the results."""
    result = json.loads(script.RESULTS.read_text())
    first, last = script.MARKS
    page = script.PAGE.read_text(encoding="utf-8")
    assert first + script.sentence(result) + last in page


def test_the_limits_hold(script):
    """Of the last run: of the processor's time where other work shared it."""
    result = json.loads(script.RESULTS.read_text())
    assert result["limits"] == script.LIMITS
    assert result["shared"]["ratio_of_processor"]["median"] <= script.LIMITS["shared"]
    assert result["wide"]["ratio"]["median"] <= script.LIMITS["wide"]
    assert result["ray"]["ms_more"]["median"] <= script.LIMITS["ray_ms"]
