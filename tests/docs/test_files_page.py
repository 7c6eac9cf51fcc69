"""The page on LoRA files: its tables are what the tests load, and what they see refused."""

from __future__ import annotations

import importlib.util
import sys

from places import DOCS


def test_its_tables_are_the_tests_own():
    """`python docs/write_files_page.py` writes them."""
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("write_files_page", DOCS / "write_files_page.py")
    writer = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(writer)
        text = writer.PAGE.read_text(encoding="utf-8")
        assert text == writer.with_tables(text)
    finally:
        sys.path[:] = before
