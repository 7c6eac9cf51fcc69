"""Fixtures: small FLUX.2 pipelines, and a count of the keys and values that are kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from refhooks_flux2 import _run

sys.path.insert(0, str(Path(__file__).parent))

from small2 import KINDS


@pytest.fixture(scope="session", params=KINDS)
def small(request):
    """One of each kind in float32, shared: refhooks leaves it as it is."""
    return KINDS[request.param]()


@pytest.fixture(scope="session", params=["distilled", "kv"])
def unguided(request):
    """One with references at every step, one that keeps them; neither has a second pass."""
    return KINDS[request.param]()


@pytest.fixture(scope="session", params=KINDS)
def small_bf16(request):
    """One of each kind in bfloat16."""
    return KINDS[request.param](dtype=torch.bfloat16)


@pytest.fixture(scope="session")
def kept():
    """The one that keeps keys and values."""
    return KINDS["kv"]()


@pytest.fixture
def computed(monkeypatch):
    """How many times each run computed the keys and values of its references."""
    counts = []
    close = _run.Flux2KVRun.close

    def counting(self):
        counts.append(self.computed)
        close(self)

    monkeypatch.setattr(_run.Flux2KVRun, "close", counting)
    return counts
