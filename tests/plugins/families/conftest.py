"""Fixtures: each family of `tests/families_table.py`, and an editor on it."""

from __future__ import annotations

import pytest
from families_table import ROWS, shrink


@pytest.fixture(scope="module", params=ROWS)
def row(request):
    """A family, at stock sizes that a test can afford."""
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch, ROWS[request.param])
        yield ROWS[request.param]


@pytest.fixture(scope="module")
def editor(row):
    """One that is shared: refhooks leaves the model as it is."""
    return row.editor()
