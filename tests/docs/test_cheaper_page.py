"""The tables of docs/cheaper.md are those of the result file."""

from __future__ import annotations

import runpy

from places import DOCS


def test_the_tables_are_up_to_date():
    """`python docs/write_cheaper_page.py` would change nothing."""
    script = runpy.run_path(str(DOCS / "write_cheaper_page.py"))
    text = (DOCS / "cheaper.md").read_text(encoding="utf-8")

    assert script["with_tables"](text) == text
    assert "| `0.5@2` |" in text
