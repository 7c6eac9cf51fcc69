"""No page is longer than a reader finishes: 2,500 words, tables and code counted."""

from __future__ import annotations

import pytest
from places import DOCS, ROOT

LIMIT = 2500
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_has_at_most_2500_words(page):
    """As `wc -w` counts; a longer one is split by task."""
    assert len(page.read_text(encoding="utf-8").split()) <= LIMIT


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_no_page_publishes_what_is_not_measured(page):
    """What has no result yet is left out."""
    assert "not measured yet" not in page.read_text(encoding="utf-8").lower()
