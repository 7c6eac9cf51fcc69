"""The tables of families in docs/works-with.md."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import diffusers
import pytest
from families_table import ROWS

import refhooks as rh

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def writer():
    """What docs/write_works_with.py defines."""
    return runpy.run_path(str(DOCS / "write_works_with.py"))


def test_the_tables_are_those_of_the_rows(writer):
    """Run docs/write_works_with.py after adding a row."""
    page = (DOCS / "works-with.md").read_text(encoding="utf-8")

    assert writer["with_tables"](page) == page
    assert all(f"| `{name.split(',')[0]}`" in page for name in ROWS)


def test_every_family_has_a_row():
    """Of those that come along: the contract runs on each."""
    shipped = set(rh.load_registry().families)

    assert shipped == {name.split(",")[0] for name in ROWS if name != "toy"}


def test_what_is_not_supported_has_no_family(writer):
    """Nor is it a class that diffusers has not."""
    adapted = {cls for entry in rh.load_registry().families.values() for cls in entry.pipelines}
    named = {name for key in writer["WITHOUT"] for name in re.findall(r"`(\w+Pipeline)`", key)}

    assert len(named) >= 5
    assert set() == named & adapted
    assert set() == {name for name in named if not hasattr(diffusers, name)}
