"""Lanes: strengths over the steps as SVG, and nothing that is written in it acts."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import attrs
import pytest

from refhooks._base.lanes import Block, Lane, lanes_html, options_text

MARKUP = "<script>alert('x')</script>"


def svgs(html):
    """The drawings in a piece of HTML, parsed."""
    return [ET.fromstring(it) for it in re.findall(r"<svg.*?</svg>", html)]


def curve(svg):
    """The points of each block's curve."""
    lines = [it for it in svg.iter("polyline") if it.get("stroke-dasharray") is None]
    return [[tuple(map(float, at.split(","))) for at in it.get("points").split()] for it in lines]


def test_a_curve_has_a_point_a_step_and_rises_with_the_strength():
    """From left to right, a block after the other; strength 2 is at the top of the plot."""
    lane = Lane("Reference 1", (0.0, 1.0, 2.0, 2.0), (Block("a", 0, 2), Block("b", 2, 4)))

    first, second = curve(svgs(lanes_html([lane], ["a", "b"]))[0])

    assert len(first) == len(second) == 2
    xs = [x for x, _ in first + second]
    assert xs == sorted(xs)
    (_, low), (_, middle) = first
    assert low > middle > second[0][1]
    assert low - middle == pytest.approx(middle - second[0][1], abs=0.11)
    assert second[0][1] == second[1][1]


def test_what_is_written_is_no_markup():
    """Titles, names, options, refusals and notes are shown as text."""
    lane = Lane(MARKUP, (1.0,) * 4, (Block(MARKUP, 0, 4, MARKUP),), (), MARKUP, (MARKUP,))

    html = lanes_html([lane], [])

    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 4


def test_a_lane_says_itself_in_words():
    """For who cannot see it: method, options, steps and strength of each stage."""
    blocks = (Block("a", 0, 2, "x=1"), Block("b", 2, 3))
    html = lanes_html([Lane("Reference 1", (0.4, 1.0, 0.5), blocks)], ["a", "b"])

    said = svgs(html)[0].get("aria-label")

    assert said == (
        "Reference 1: a (x=1), steps 1 to 2, strength 0.4 to 1; b, steps 3 to 3, strength 0.5"
    )


def test_a_refused_lane_says_why_and_is_drawn_where_it_can_be():
    """Without strengths there is only the sentence."""
    html = lanes_html([Lane("Reference 1", refused="that cannot be")], [])

    assert svgs(html) == []
    assert "role='alert'" in html
    assert "that cannot be" in html


def test_only_a_confined_reference_has_a_line_of_its_area():
    """Dashed, beside its strength."""
    whole, part = Lane("a", (1.0, 1.0), (Block("m", 0, 2),)), (0.25, 0.25)

    assert "share of the picture" not in lanes_html([whole], ["m"])
    assert "share of the picture" in lanes_html([attrs.evolve(whole, areas=part)], ["m"])


@pytest.mark.parametrize("steps", [1, 4, 28, 1000])
def test_a_run_of_any_length_is_drawn(steps):
    """Up to sixty steps each has a dot; numbers under the plot are few."""
    html = lanes_html([Lane("a", (1.0,) * steps, (Block("m", 0, steps),))], ["m"])

    assert html.count("<circle") == (steps if steps <= 60 else 0)
    assert 1 <= html.count("text-anchor='middle'") <= 17


def test_a_long_name_is_cut_to_its_block_and_whole_in_its_title():
    """A name that runs into the next block could not be read."""
    name = "m" * 200
    html = lanes_html([Lane("a", (1.0,) * 2, (Block(name, 0, 1), Block("b", 1, 2)))], [])

    assert f"<title>{name}</title>" in html
    assert "…</text>" in html


def test_options_that_are_not_defaults_are_told():
    """A name alone has none."""

    @attrs.frozen
    class Thing:
        size: int = 1
        way: str = "a"

    assert options_text(Thing()) == ""
    assert options_text(Thing(2, "b")) == "size=2 way=b"
    assert options_text("inject") == ""
