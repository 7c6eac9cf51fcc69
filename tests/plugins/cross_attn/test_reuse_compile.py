"""Refreshes and loaded steps are one graph each in compiled blocks."""

from __future__ import annotations

import pytest
import tiny
import torch
from torch._dynamo.utils import counters

import refhooks as rh

AREA = 32 * 32
SMALL = rh.Checkpoint(output=AREA, reference=AREA, vision=AREA)
HOW = {"reuse": "every 3"}


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_no_break_and_no_recompilation_after_one_run(run):
    """A graph a layout, and one more when the first one's shapes become dynamic; then no more."""
    plain = rh.Editor(tiny.build("plus", "middle"), checkpoint=SMALL)
    calls = [{"strength": s, "steps": n, "seed": n} for s, n in ((0.6, 4), (1.2, 5), (0.9, 7))]
    expected = [run(plain, how=HOW, **call) for call in calls]
    torch.compiler.reset()
    compiled = rh.Editor(tiny.build("plus", "middle"), checkpoint=SMALL)
    compiled.pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="aot_eager")
    counters.clear()
    run(compiled, 0.5, HOW)
    graphs = counters["stats"]["unique_graphs"]

    with torch._dynamo.config.patch(error_on_recompile=True):
        found = [run(compiled, how=HOW, **call) for call in calls]

    assert graphs == 3
    assert not counters["graph_break"]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.latents, theirs.latents, atol=1e-5, rtol=0)
        drifts = [[entry.mean for entry in result.drift] for result in (ours, theirs)]
        assert drifts[0] == pytest.approx(drifts[1], rel=1e-3)
    torch.compiler.reset()
