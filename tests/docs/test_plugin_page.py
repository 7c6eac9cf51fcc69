"""What the page for plugin authors takes from the code is the code's, and its messages are real."""

from __future__ import annotations

import runpy

import pytest
from places import DOCS


@pytest.fixture(scope="module")
def made():
    """The script that writes the page."""
    return runpy.run_path(str(DOCS / "write_plugin_page.py"))


@pytest.fixture(scope="module")
def page():
    """The page as it is."""
    return (DOCS / "writing-plugins.md").read_text()


def test_the_method_it_builds_is_the_one_that_ships(made, page):
    """Run docs/write_plugin_page.py after changing refhooks_guidance."""
    assert made["with_module"](page) == page
    assert made["module"]() in page
    shipped = made["MODULE"].read_text().splitlines()
    left_out = [line for line in shipped if line not in made["module"]().splitlines()]
    assert [line.split()[0] for line in left_out] == ["from", "marks:"]


def test_each_mistake_leads_to_the_message_shown(made):
    """Run docs/write_plugin_page.py after changing a message."""
    page = made["MISTAKES_PAGE"].read_text()

    assert made["with_table"](page) == page


def test_a_mistake_that_goes_unnoticed_is_not_shown(made):
    """The script ends instead."""
    with pytest.raises(SystemExit, match="unnoticed"):
        made["message"](lambda: None)
