"""A larger editor than elsewhere: its pictures have tokens enough to weigh and to drop some."""

from __future__ import annotations

import pytest


@pytest.fixture
def editor(pipe):
    """An editor on the shared pipeline, at 64x64."""
    from sized import editor_for

    return editor_for(pipe)
