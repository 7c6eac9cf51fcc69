"""Hooks cost nothing: an edit asks no more of the device than the stock pipeline."""

from __future__ import annotations

import pytest
import same_work
import tiny
import torch
from _watch import Watch


@pytest.fixture(scope="module")
def figures():
    """What stock, no strategy and ``default`` at 1 asked for, with two references."""
    return same_work.compared(tiny.build("plus", "middle"))


@pytest.mark.parametrize("case", ["no strategy", "default at 1"])
def test_no_copy_no_wait_no_memory_more_than_stock(figures, case):
    """Copies as large as the latents, operators that wait for a device, and the peak."""
    stock, ours = figures["stock"], figures[case]

    assert sum(stock["large copies"].values()) > 0
    assert ours["large copies"] == stock["large copies"]
    assert ours["waits"] <= stock["waits"]
    assert ours["peak bytes"] <= 1.01 * stock["peak bytes"]


@pytest.mark.parametrize("case", ["no strategy", "default at 1"])
def test_the_same_operators_as_stock(figures, case):
    """Each of them, as often; but for views, which move nothing."""
    stock, ours = (dict(figures[name]["operators"]) for name in ("stock", case))

    assert ours.pop("aten::expand") > stock.pop("aten::expand") > 0
    assert ours == stock


def test_the_watch_sees_copies_waits_and_memory():
    """The tests above would pass on nothing. What was there before is not memory of the run."""
    weights = torch.zeros(1000)
    with Watch(large=100) as watch:
        view = weights[:500]
        first = torch.zeros(100)
        first.clone()
        held = torch.zeros(50).clone()
        bool(held.sum() == 0)
        view.add_(1.0)
        del first

    assert dict(watch.copies) == {"aten::clone": 1}
    assert watch.waits == 1
    assert 4 * 200 <= watch.peak < 4 * 400
