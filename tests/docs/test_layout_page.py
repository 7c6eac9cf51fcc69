"""The page on the layout of the source: every room is on it, and every path it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import refhooks

ROOT = Path(refhooks.__file__).parent.parent
PAGE = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("storey", ["_core", "_apps", "."])
def test_every_package_is_on_the_page(storey):
    """With a word on what it is for."""
    folders = [path.parent.name for path in (ROOT / "refhooks" / storey).glob("*/__init__.py")]

    assert len(folders) > 5
    assert [name for name in folders if f"`{name}/`" not in PAGE] == []


def test_every_path_on_the_page_is_there():
    """A moved file is moved on the page as well."""
    paths = re.findall(r"`((?:refhooks|plugins|tests|findings)/[\w./]*)`", PAGE)

    assert len(set(paths)) > 25
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_loop_is_two_clicks_from_the_readme():
    """The first thing on the page is the loop."""
    link = r"\]\(\.\./refhooks/loop\.py\)"

    assert "(docs/layout.md)" in README
    assert re.search(link, PAGE[: PAGE.index("##")])
