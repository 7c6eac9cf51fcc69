"""Plots: a colour a method, legends that fit, labels that cover no other."""

from __future__ import annotations

import itertools

import pytest

import refhooks as rh
from refhooks._apps.advice.measuring import Measured
from refhooks._apps.advice.plots import draw_curves
from refhooks._base.figures import COLOURS, colours_of, legend_columns, new_figure, place_labels
from refhooks._core.planning.timetable_plots import draw_timetable

METHODS = list(rh.load_registry().methods)


def test_no_two_names_have_one_colour():
    """Also where there are more than the palette holds."""
    names = [f"method {number}" for number in range(40)]
    colours = colours_of(names, ["a", "b"])

    assert len(set(colours.values())) == 40
    assert all(len(colour) == 7 for colour in colours.values())


def test_a_registered_name_keeps_its_colour():
    """Whatever else is drawn, and whatever is installed after those that ship."""
    alone = colours_of(["inject"], METHODS)["inject"]

    assert colours_of(["mine", "default", "inject"], METHODS)["inject"] == alone
    assert colours_of(["inject"], [*METHODS, "aaa"])["inject"] == alone
    assert alone in COLOURS


@pytest.mark.parametrize("drawn", [["inject", "default"], ["default", "cross_attn", "inject"]])
def test_a_method_has_one_colour_in_timetables_and_curves(drawn):
    """In a plan and over a grid."""
    point = Measured(0.5, None, None, 0.5, 0.5, 0.5)
    curves = draw_curves({name: [(0.0, point), (1.0, point)] for name in drawn}, "strength")
    lines = {line.get_label(): line.get_color() for line in curves.axes[0].lines}
    ends = [(number + 1) / len(drawn) for number in range(len(drawn))]
    stages = [rh.Stage(name, until=end) for name, end in zip(drawn, ends, strict=True)]
    plan = draw_timetable(rh.plan(rh.Strategy(stages), 6).steps, rh.load_registry().methods)
    patches = {
        text.get_text(): handle.get_facecolor()
        for text, handle in zip(
            plan.legends[0].get_texts(), plan.legends[0].legend_handles, strict=True
        )
        if text.get_text() in drawn
    }
    from matplotlib.colors import to_hex

    assert {name: to_hex(colour).upper() for name, colour in patches.items()} == {
        name: lines[name] for name in drawn
    }


def test_a_legend_has_as_many_columns_as_fit():
    """One at least, six at most."""
    assert legend_columns(["a", "b"], 8.0) == 2
    assert legend_columns(["a"] * 9, 8.0) == 6
    assert legend_columns(["a name of forty letters, more or less...."] * 9, 8.0) == 2
    assert legend_columns(["x" * 400], 8.0) == 1


def test_labels_cover_no_other():
    """Points in a heap; what finds no place is left out, and most find one."""
    figure = new_figure(8.0, 6.0)
    panel = figure.subplots()
    labels = [(0.01 * number, 0.002 * number, f"cell {number} at 0.5") for number in range(12)]
    panel.plot([x for x, _, _ in labels], [y for _, y, _ in labels], "o")

    place_labels(panel, labels)

    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in panel.texts]
    assert len(boxes) >= 8
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
