"""The site's navigation has every page once; `make docs` builds it, with warnings as errors."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from places import DOCS, ROOT


@pytest.fixture(scope="module")
def settings():
    """What docs/conf.py says, which needs no Sphinx."""
    return runpy.run_path(str(DOCS / "conf.py"))


def test_every_page_is_in_the_navigation_once(settings):
    """Those of docs/, and those elsewhere that are named; a new one is found."""
    named = [name for names in settings["pages"]().values() for name in names]

    assert sorted(set(named)) == sorted(named)
    assert {f"docs/{page.stem}" for page in DOCS.glob("*.md")} <= set(named)
    for name in named:
        assert any((ROOT / name).parent.glob(f"{Path(name).name}.*")), name


def test_the_parts_of_the_navigation_are_not_empty(settings):
    """Nor is a page sorted into two of them."""
    assert list(settings["NAVIGATION"]) == list(settings["pages"]())
    assert all(settings["pages"]().values())
