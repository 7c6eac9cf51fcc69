"""Fixtures: a small Qwen-Image 2.1 in two types, and a count of its prefixes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from refhooks_qwen21 import _run

sys.path.insert(0, str(Path(__file__).parent))

from small21 import Small


@pytest.fixture(scope="session")
def small():
    """One in float32, shared: refhooks leaves it as it is."""
    return Small()


@pytest.fixture(scope="session")
def small_bf16():
    """One in bfloat16."""
    return Small(dtype=torch.bfloat16)


@pytest.fixture
def prefixes(monkeypatch):
    """How many prefixes each run computed, of each branch."""
    counts = []
    close = _run.QwenImage21Run.close

    def counting(self):
        counts.append(dict(self.prefixes.computed))
        close(self)

    monkeypatch.setattr(_run.QwenImage21Run, "close", counting)
    return counts
