"""The tables of docs/cheaper.md and docs/auto-mask.md are those of the result files."""

from __future__ import annotations

import runpy

from places import DOCS


def test_the_tables_are_up_to_date():
    """`python docs/write_cheaper_page.py` would change nothing."""
    script = runpy.run_path(str(DOCS / "write_cheaper_page.py"))
    texts = [page.read_text(encoding="utf-8") for page in script["PAGES"]]

    assert [script["with_tables"](text) for text in texts] == texts
    assert "| `0.5@2` |" in texts[0]
    assert "| `auto_mask` |" in texts[1]
