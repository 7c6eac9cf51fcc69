"""The table of transformer files in docs/coming-from.md."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_lists_what_the_tests_load():
    """Run docs/write_files_table.py after adding a layout."""
    with_table = runpy.run_path(str(DOCS / "write_files_table.py"))["with_table"]
    page = (DOCS / "coming-from.md").read_text(encoding="utf-8")

    assert with_table(page) == page
    assert page.count("\n| GGUF |") > 1
