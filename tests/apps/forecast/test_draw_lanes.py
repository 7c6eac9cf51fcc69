"""``refhooks.draw_lanes``: what would run, drawn; what is refused, said at its lane."""

from __future__ import annotations

import pytest
import tiny

import refhooks as rh

TWO = rh.Strategy([rh.Stage("inject", "0.4:1.0", until=0.5), rh.Stage("cross_attn")])
SHORT = rh.Stage("inject", [1, 0.5])
SHORT_SAYS = (
    "reference 2, stage 1 (method 'inject'): strength lists 2 numbers, but the stage has 8 steps"
)


def test_a_strategy_is_drawn_as_it_is_planned():
    """Over 28 steps where nothing says how many."""
    drawn = rh.draw_lanes(TWO)

    assert drawn.refused == ("",)
    assert len(drawn.timetable.steps) == 28
    assert "inject, steps 1 to 14, strength 0.4 to 1" in drawn.html
    assert drawn._repr_html_() == drawn.html


def test_a_timetable_is_drawn(edit):
    """What was done, as what is planned."""
    result = edit(strategy=TWO, steps=4)

    drawn = rh.draw_lanes(result.timetable)

    assert drawn.timetable is result.timetable
    assert "cross_attn, steps 3 to 4" in drawn.html


def test_a_refusal_stands_at_its_lane_in_the_plans_words():
    """The others are drawn without it, and with the name of their pictures."""
    references = [rh.Reference("a.png", TWO), rh.Reference("b.png", SHORT), rh.Reference("c.png")]

    drawn = rh.draw_lanes(references, 8)

    assert drawn.refused == ("", SHORT_SAYS, "")
    assert drawn.timetable is None
    assert "Reference 1: a.png" in drawn.html
    with pytest.raises(rh.StrategyError, match="lists 2 numbers") as error:
        rh.plan(references, 8)
    assert str(error.value) == SHORT_SAYS


def test_a_reference_that_could_not_be_made_says_why():
    """Its lane has no drawing, the others have theirs."""
    references = [rh.Reference("a.png"), rh.Reference("b.png", TWO), rh.Reference("c.png", SHORT)]

    drawn = rh.draw_lanes(references, 8, refused=["nonsense", "", ""])

    assert drawn.refused == ("nonsense", "", SHORT_SAYS.replace("reference 2", "reference 3"))
    assert drawn.html.count("<svg") == 1
    assert drawn.html.index("a.png") < drawn.html.index("nonsense") < drawn.html.index("b.png")


def test_two_refusals_stand_at_two_lanes():
    """Each numbered as it stands in the edit."""
    other = rh.Stage("default", "nonsense")

    first, second = rh.draw_lanes(
        [rh.Reference("a.png", other), rh.Reference("b.png", SHORT)], 8
    ).refused

    assert "reference 1" in first
    assert "nonsense" in first
    assert second == SHORT_SAYS


def test_what_the_run_refuses_is_no_references_fault(editor):
    """It is said below all of them."""
    picture = tiny.picture()

    drawn = rh.draw_lanes([rh.Reference(picture, TWO)], 4, editor=editor, height=33)

    assert drawn.refused == ("",)
    assert "height" in drawn.together
    assert drawn.timetable is None


def test_what_a_model_cannot_do_is_said_at_the_lane(editor):
    """Drawn all the same."""
    drawn = rh.draw_lanes([rh.Reference(tiny.picture(), rh.Stage("concat"))], 4, editor=editor)

    assert "projection" in drawn.refused[0]
    assert "concat, steps 1 to 4" in drawn.html


def test_a_stage_without_steps_and_too_much_strength_are_noted():
    """Without a warning: the drawing is remade at every change."""
    stages = [rh.Stage("inject", 1.8, until=0.4), rh.Stage("default", until=0.45)]

    drawn = rh.draw_lanes(rh.Strategy([*stages, rh.Stage("default")]), 4)

    assert "1 of its stages get no step" in drawn.html
    assert "above 1.5 artifacts are likely" in drawn.html


def test_what_cannot_be_planned_is_refused():
    """A list that is none of references."""
    with pytest.raises(rh.InputError, match="plan a strategy, or a list of references"):
        rh.draw_lanes([1])


def test_strategies_and_timetables_show_their_lanes():
    """In a notebook, above their tables; a strategy that cannot be drawn says why."""
    assert rh.plan(TWO, 8)._repr_html_().startswith("<div class='refhooks-lanes'>")
    assert "inject, steps 1 to 14" in TWO._repr_html_()
    assert "steps 1 to 2" in rh.Strategy([SHORT])._repr_html_()
    assert "is neither a number nor" in rh.Strategy([rh.Stage("inject", "nonsense")])._repr_html_()
