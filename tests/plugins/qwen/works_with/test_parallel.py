"""Context parallelism over two processes: the single process's result, or one sentence why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import parallel
import plain
import pytest
import torch
from places import TESTS

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
        reason="this build of torch has no gloo",
    ),
]
EQUAL = ["no strategy", "default at 1", "default", "inject", "concat", "content mask", "switch"]
NO_ATTENTION = ["cross_attn", "default above 1", "reuse", "region mask", "recorded"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """What each of the processes made."""
    folder = tmp_path_factory.mktemp("parallel")
    script = Path(parallel.__file__)
    places = os.pathsep.join(map(str, [TESTS, script.parent]))
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(folder)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": places},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(parallel.PROCESSES)
    ]  # fmt: skip
    told = [process.communicate(timeout=280)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(told)
    return [torch.load(folder / f"{rank}.pt") for rank in range(parallel.PROCESSES)]


@pytest.fixture(scope="module")
def alone():
    """What a single process makes."""
    return parallel.edits(parallel.build())


def test_the_stock_pipeline_equals_the_single_process(shared):
    """Which is what the others are held to."""
    expected = plain.stock(parallel.build(), cfg=1.0, prompt=parallel.EVEN)
    for found in shared:
        torch.testing.assert_close(found["stock"], expected, atol=1e-5, rtol=0)
        assert torch.equal(found["stock"], found["no strategy"])


@pytest.mark.parametrize("name", EQUAL)
def test_equal(shared, alone, name):
    """Every process has the whole of it."""
    for found in shared:
        torch.testing.assert_close(found[name], alone[name], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NO_ATTENTION)
def test_what_touches_attention_is_refused_before_the_first_step(shared, name):
    """In one sentence, by every process, so that none waits for another."""
    for found in shared:
        message, passes = found[name]
        assert "where attention can be neither edited nor recorded. What works on it" in message
        assert passes == 0


def test_tokens_that_cannot_be_shared_are_refused_before_the_first_step(shared):
    """A mask that leaves an odd number of tokens."""
    for found in shared:
        message, passes = found["one token"]
        assert "runs in parallel over 2 processes, which cannot share" in message
        assert "17 of pictures evenly" in message
        assert passes == 0


def test_every_way_is_looked_at():
    """Nothing that the processes ran is left out here."""
    assert sorted([*EQUAL, *NO_ATTENTION, "one token"]) == sorted(parallel.WAYS)
