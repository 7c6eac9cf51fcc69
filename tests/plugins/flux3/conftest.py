"""Fixtures: small FLUX.3 pipelines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from small3 import KINDS, Small


@pytest.fixture(scope="session", params=KINDS)
def small(request):
    """One of each kind in float32, shared: refhooks leaves it as it is."""
    return Small(**KINDS[request.param])


@pytest.fixture(scope="session", params=KINDS)
def small_bf16(request):
    """One of each kind in bfloat16."""
    return Small(**KINDS[request.param], dtype=torch.bfloat16)
