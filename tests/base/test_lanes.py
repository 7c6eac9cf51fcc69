"""Lanes: strengths over the steps as SVG, and nothing that is written in it acts."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import attrs
import pytest

from refhooks._base.figures import COLOURS
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


def light(colour):
    """Relative luminance, as WCAG has it."""
    parts = [it / 255 for it in colour]
    parts = [it / 12.92 if it <= 0.03928 else ((it + 0.055) / 1.055) ** 2.4 for it in parts]
    return sum(weight * it for weight, it in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def rgb(text):
    """A colour's numbers."""
    return [int(text[at : at + 2], 16) for at in (1, 3, 5)]


@pytest.mark.parametrize("paper", ["#FFFFFF", "#111111"], ids=["light", "dark"])
@pytest.mark.parametrize("colour", COLOURS)
def test_where_artifacts_are_likely_is_seen_on_every_colour(colour, paper):
    """3 to 1 against the ground of a block, as WCAG asks of what is drawn."""
    html = lanes_html([Lane("Reference 1", (1.0,) * 4, (Block("m", 0, 4),))], ["m"])
    (opacity,) = {
        float(it.get("opacity")) for it in svgs(html)[0].iter("rect") if it.get("opacity")
    }
    (line,) = {it.get("stroke") for it in svgs(html)[0].iter("g") if it.get("stroke")}
    ground = [
        opacity * one + (1 - opacity) * other
        for one, other in zip(rgb(colour), rgb(paper), strict=True)
    ]

    high, low = sorted((light(rgb(line)), light(ground)), reverse=True)

    assert (high + 0.05) / (low + 0.05) >= 3.0


def test_the_hatching_lies_on_the_blocks_and_above_one_and_a_half_alone():
    """Over their grounds, below the curve, within the plot."""
    lane = Lane("Reference 1", (2.0,) * 4, (Block("m", 0, 4),))
    html = lanes_html([lane], ["m"])

    assert html.index("<rect") < html.index("artifacts are likely above 1.5") < html.index("<polyl")
    (hatching,) = [it for it in svgs(html)[0].iter("g") if it.get("stroke")]
    lines, edge = [it.get("d") for it in hatching.iter("path")]
    ends = [
        (float(x) + float(right), float(y) + float(up))
        for x, y, right, up in re.findall(r"M([\d.]+) ([\d.]+)l([\d.]+) (-[\d.]+)", lines)
    ]
    assert len(ends) > 50
    assert max(x for x, _ in ends) <= 754.1
    top = curve(svgs(html)[0])[0][0][1]
    assert min(y for _, y in ends) >= top - 0.1
    middle = curve(svgs(lanes_html([attrs.evolve(lane, strengths=(1.5,) * 4)], ["m"]))[0])[0][0][1]
    assert edge.startswith(f"M34.0 {middle:.1f}H")
