"""What values show in a notebook: pictures with captions, tables, and no markup of a stranger's."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
import tiny
from PIL import Image, ImageChops

import refhooks as rh
from refhooks._base.notebooks import html_pictures

MARKUP = "<script>alert(1)</script> & \x1b[2J"


class Page(HTMLParser):
    """The tags, pictures and text of a piece of HTML."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.pictures, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Keep the tag, and what an ``img`` shows."""
        self.tags.append(tag)
        source = dict(attrs).get("src", "")
        if tag == "img":
            data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
            self.pictures.append(Image.open(io.BytesIO(data)))

    def handle_data(self, data):
        """Keep the text."""
        self.text += data + " "


def page(value):
    """What a notebook shows of a value."""
    return Page(value._repr_html_())


def test_a_result_shows_its_pictures_with_their_seeds(edit):
    """Each as it is, to the pixel."""
    result = edit(seed=[3, 5])
    shown = page(result)

    assert len(shown.pictures) == 2
    assert ImageChops.difference(shown.pictures[1], result.images[1]).getbbox() is None
    assert "seed 3" in shown.text
    assert "seed 5" in shown.text


def test_chains_and_grids_show_themselves(editor):
    """The picture of each edit with its prompt; the sheet."""
    chain = editor.chain(tiny.picture(), [rh.Edit(MARKUP), rh.Edit("b")], steps=2, seed=1)
    grid = editor.grid(tiny.picture(), "b", strengths=[0.5, 1], steps=2)

    assert len(page(chain).pictures) == 2
    assert "edit 1: <script>" in page(chain).text
    assert "script" not in page(chain).tags
    assert page(grid).pictures[0].size == grid.sheet.size


def test_what_is_planned_and_done_is_a_table(edit, registry):
    """Timetable, strategy, advice, recipe and registry; a row each of what they hold."""
    strategy = rh.Strategy([rh.Stage("inject", "0.4:1.0", until=0.5), rh.Stage("cross_attn")])
    result = edit(prompt=MARKUP, strategy=strategy)

    assert page(strategy).tags.count("tr") == 1 + 2 + 1
    assert "0.4:1.0" in page(strategy).text
    assert page(result.timetable).tags.count("tr") == 1 + 3
    assert "changed" in page(result.advice).text
    recipe = page(result.recipe)
    assert "script" not in recipe.tags
    assert "<script>alert(1)</script>" in recipe.text
    assert "\x1b" not in recipe.text
    shown = page(registry)
    assert shown.tags.count("tr") == 1 + len(registry.records)
    assert "method inject" in shown.text


@pytest.fixture
def registry(editor):
    """The plugins of the editor."""
    return editor.registry


def test_small_pictures_are_shown_larger_and_large_ones_smaller():
    """Their pixels stay theirs; of very many only the first are shown."""
    small = html_pictures([Image.new("RGB", (32, 16))], ["a"])
    large = html_pictures([Image.new("L", (3000, 1500))], ["a"])

    assert re.search("width='256' height='128'", small)
    assert re.search("width='768' height='384'", large)
    many = html_pictures([Image.new("RGB", (1, 1))] * 70, ["a"] * 70)
    assert Page(many).tags.count("img") == 64
    assert "and 6 more" in Page(many).text


def test_a_result_opens_in_the_viewer(edit, monkeypatch):
    """One window a picture."""
    opened = []
    monkeypatch.setattr(Image.Image, "show", lambda self: opened.append(self.size))

    edit(n=2).show()

    assert len(opened) == 2
