"""Edits after a fork and in spawned processes: right, or refused in one sentence; none hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


@pytest.fixture(scope="module")
def found():
    """What came of each, on two threads, with which a bare fork would stand still."""
    script = Path(__file__).with_name("processes.py")
    run = subprocess.run(
        [sys.executable, script], env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@forks
def test_a_forked_process_edits_on_one_thread(found):
    """To the bit what its parent does on one; a warning says why it is slower."""
    assert found["forked"]["found"] == found["on one thread"]
    assert found["forked"]["threads"] == 1
    assert len(found["forked"]["said"]) == 1
    assert "forked from one that had loaded torch" in found["forked"]["said"][0]
    assert "multiprocessing's 'spawn'" in found["forked"]["said"][0]


@forks
@pytest.mark.parametrize("how", ["of another thread", "of another thread, in vain"])
def test_a_fork_amid_an_edit_of_another_thread_is_refused(found, how):
    """The model of the child is amid it for ever; waiting for it would never end."""
    assert found[how]["found"].startswith(
        "BusyError: this process was forked while another thread ran an edit on this transformer"
    )


@forks
def test_a_fork_in_a_callback_is_an_edit_within_another(found):
    """As in the process itself."""
    assert found["of the callback"]["found"].startswith("BusyError: an edit that was called within")


def test_a_spawned_process_has_all_of_its_own(found):
    """Its model, its threads, its queue."""
    assert found["spawned"] == {"found": found["alone"], "said": [], "threads": 2}


def test_the_parent_goes_on(found):
    """Whatever its children did."""
    assert found["afterwards"] == found["alone"]
