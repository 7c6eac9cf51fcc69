"""The page on sizes says what the code does."""

from __future__ import annotations

import re
import runpy

import pytest
from PIL import Image
from places import DOCS

import refhooks as rh
from refhooks.testing._tiny import tiny_pipeline


@pytest.fixture(scope="module")
def made():
    """The names of the script that writes its tables."""
    return runpy.run_path(str(DOCS / "write_sizes_table.py"))


def test_the_tables_are_generated(made):
    """Run docs/write_sizes_table.py after changing how a family resizes."""
    text = (DOCS / "sizes.md").read_text()

    assert made["with_tables"](text) == text


def test_every_family_is_in_them(made):
    """Those that plugins register, and the embedded model."""
    names = {name.strip("`") for name in made["families"]()}

    assert set(rh.load_registry().families) | {"toy"} == names


@pytest.mark.parametrize("kind", ["edit", "plus"])
def test_their_default_sizes_are_the_stock_pipelines(made, kind):
    """By the stock module's own function."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as stock

    name = rh.Editor(tiny_pipeline(kind)).family.name
    rows = re.findall(
        rf"^\| `{name}` \| (\d+)x(\d+) \| (\d+)x(\d+)", made["examples"](), re.MULTILINE
    )

    assert len(rows) == len(made["SOURCES"])
    for width, height, *size in rows:
        ratio = int(width) / int(height)
        assert [int(side) for side in size] == list(
            stock.calculate_dimensions(stock.VAE_IMAGE_SIZE, ratio)[:2]
        )


def test_what_a_native_size_repeats_is_less_than_a_multiple(made):
    """For every family, and pictures of any size."""
    for family, _ in made["families"]().values():
        for source in ((1, 1), (57, 71), (1920, 1080), (16, 32), (999, 1001)):
            size = family.output_size(Image.new("RGB", source), None, None, "native")
            more = (size.width - source[0], size.height - source[1])
            assert (size.width % family.multiple, size.height % family.multiple) == (0, 0)
            assert all(0 <= each < family.multiple for each in more)
