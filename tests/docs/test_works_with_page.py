"""The tables of families in docs/works-with.md."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import diffusers
import pytest
from families_table import HELD, ROWS

import refhooks as rh

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"


@pytest.fixture(scope="module")
def writer():
    """What docs/write_works_with.py defines."""
    return runpy.run_path(str(DOCS / "write_works_with.py"))


def test_the_tables_are_those_of_the_rows(writer):
    """Run docs/write_works_with.py after adding a row."""
    page = (DOCS / "works-with.md").read_text(encoding="utf-8")

    assert writer["with_tables"](page) == page
    assert all(f"| `{name.split(',')[0]}`" in page for name in ROWS)


@pytest.mark.parametrize("test", dict.fromkeys(HELD.values()))
def test_each_column_is_held_by_a_test_of_every_row(writer, test):
    """It takes a row and skips none; one that a column of plain yes names makes no exception."""
    functions = [
        node
        for path in sorted((TESTS / "plugins/families").glob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == test
    ]
    [function] = functions

    inside = list(ast.walk(function))
    assert "row" in [argument.arg for argument in function.args.args]
    assert not any(isinstance(it, ast.Attribute) and "skip" in it.attr for it in inside)
    if any(HELD[column] == test for column in writer["EVERY"]):
        assert not any(isinstance(it, ast.Return | ast.If) for it in inside)


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
