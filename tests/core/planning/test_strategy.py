"""Strategies are validated when they are made, and compile to a timetable that is what runs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import tiny

import refhooks as rh

NAN, INF = float("nan"), float("inf")
STRENGTH = "stage with method 'default': strength must be a number from 0 to 2, got "


@pytest.mark.parametrize(
    ("strength", "shown"),
    [
        (NAN, "nan"),
        (INF, "inf"),
        (-INF, "-inf"),
        (-0.1, "-0.1"),
        (2.1, "2.1"),
        (1e308, "1e+308"),
        (10**400, "1000"),
        (True, "True"),
        (np.bool_(True), "True"),
        ("0.5", "'0.5'"),
        (None, "None"),
        (1j, "1j"),
        ({0.5}, "{0.5}"),
    ],
)
def test_a_strength_out_of_range_names_stage_and_field(strength, shown):
    """NaN, infinite, negative, above 2, and everything that is no real number."""
    with pytest.raises(rh.StrategyError) as caught:
        rh.Stage("default", strength)

    assert str(caught.value).startswith(STRENGTH)
    assert shown in str(caught.value)


@pytest.mark.parametrize("value", [NAN, 2.1, True, "1", None])
def test_a_strength_in_a_list_names_its_place(value):
    """Counted from 0, as the list is indexed."""
    with pytest.raises(rh.StrategyError) as caught:
        rh.Stage("inject", [1.0, value])

    assert str(caught.value).startswith("stage with method 'inject': strength[1] must be a number")


def test_an_empty_list_of_strengths_is_refused():
    """It would leave every step without one."""
    with pytest.raises(rh.StrategyError, match="'inject': strength is an empty list"):
        rh.Stage("inject", [])


@pytest.mark.parametrize("strength", [0, 2, 0.5, np.float32(0.5), np.int64(1), Fraction(1, 2)])
def test_a_strength_is_any_real_number_in_range(strength):
    """Both ends included; it is kept as a float."""
    stage = rh.Stage("default", strength)

    assert float(strength) == stage.strength
    assert float is type(stage.strength)


@pytest.mark.parametrize("strength", ["0.4:1.0", np.str_("linear 0.4 1.0"), "anything else"])
def test_a_short_form_is_kept_as_its_text(strength):
    """What it means, the plugin that registered the form says when it is compiled."""
    stage = rh.Stage("default", strength)

    assert str(strength) == stage.strength
    assert str is type(stage.strength)


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (0, "until must be above 0, got 0"),
        (-0.5, "until must be a number from 0 to 1, got -0.5"),
        (1.5, "until must be a number from 0 to 1, got 1.5"),
        (NAN, "until must be a number from 0 to 1, got nan"),
        (True, "until must be a number from 0 to 1, got True"),
        ("0.5", "until must be a number from 0 to 1, got '0.5'"),
        ([0.5], "until must be a number from 0 to 1, got [0.5]"),
    ],
)
def test_an_end_out_of_range_names_stage_and_field(until, words):
    """The end of a stage is progress, above 0 and up to 1."""
    with pytest.raises(rh.StrategyError) as caught:
        rh.Stage("default", until=until)

    assert f"stage with method 'default': {words}" in str(caught.value)


@pytest.mark.parametrize("method", [3, None, rh.Inputs, type(rh.method("inject")), object()])
def test_a_method_is_a_name_or_an_instance(method):
    """A class, or anything without name and bind, is refused."""
    with pytest.raises(rh.StrategyError, match="must be a registered name or a method instance"):
        rh.Stage(method)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((0.5, 0.5), ["stage 2 of 2", "above that of the stage before, 0.5", "got 0.5"]),
        ((0.7, 0.3, None), ["stage 2 of 3", "'default'", "0.7", "got 0.3"]),
        ((None, None), ["stage 1 of 2", "until is missing; only the last stage may have none"]),
        ((0.2, None, 0.9), ["stage 2 of 3", "until is missing"]),
        ((), ["a strategy needs at least one stage"]),
    ],
)
def test_ends_rise(ends, words):
    """Only the last stage may have none, and each is above the one before."""
    with pytest.raises(rh.StrategyError) as caught:
        rh.Strategy([rh.Stage("default", until=until) for until in ends])

    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("vision", ["sometimes", None, True])
def test_an_unknown_vision_is_refused(vision):
    """The message lists the known ones."""
    with pytest.raises(rh.StrategyError) as caught:
        rh.Strategy("default", vision=vision)

    assert f"vision must be one of auto, always, never; got {vision!r}" == str(caught.value)


@pytest.mark.parametrize("resolution", [0, -1, True, "big", 0.5, [64]])
def test_a_reference_has_an_area_or_its_native_size(resolution):
    """The message says both."""
    with pytest.raises(rh.StrategyError, match="must be a pixel area or 'native', got"):
        rh.Reference("coat.png", resolution=resolution)


@pytest.mark.parametrize(
    "strategy",
    ["default", rh.method("default"), rh.Stage("default"), [rh.Stage("default", 1.0)], ["default"]],
)
def test_a_strategy_is_made_from_what_the_user_has(strategy):
    """A name, an instance, a stage, or a list of them; strength 1 to the end."""
    made = rh.Strategy(strategy)

    assert [(stage.strength, stage.until) for stage in made.stages] == [(1.0, None)]
    assert made.vision == "auto"


def test_values_are_frozen():
    """A strategy can be shared between runs."""
    with pytest.raises(AttributeError):
        rh.Stage("default").strength = 0.5
    assert rh.Stage("default", 0.5) == rh.Stage("default", 0.5)


def rows(result, reference=0):
    """Return method, stage and strength of a reference at each step."""
    return [
        (row.method, row.stage, row.strength)
        for row in (planned.rows[reference] for planned in result.timetable.steps)
    ]


def test_two_stages_switch_at_the_first_step_from_the_end_on(edit):
    """A stage with until=0.5 has the steps whose progress is below it."""
    stages = [rh.Stage("default", 0.5, until=0.5), rh.Stage("inject", 0.75)]

    odd = edit(strategy=rh.Strategy(stages), steps=3)
    even = edit(strategy=rh.Strategy(stages), steps=4)

    assert rows(odd) == [("default", 0, 0.5)] * 2 + [("inject", 1, 0.75)]
    assert rows(even) == [("default", 0, 0.5)] * 2 + [("inject", 1, 0.75)] * 2


def test_a_list_has_one_strength_a_step_of_its_stage(edit):
    """Each stage counts from its own first step."""
    stages = [rh.Stage("default", [0.1, 0.2], until=0.5), rh.Stage("inject", [0.3, 0.4])]

    result = edit(strategy=rh.Strategy(stages), steps=4)

    assert [strength for _, _, strength in rows(result)] == [0.1, 0.2, 0.3, 0.4]
    assert result.timetable.strengths(0) == (0.1, 0.2, 0.3, 0.4)
    assert result.timetable.strengths(0, stage=0) == (0.1, 0.2, 0.0, 0.0)


@pytest.mark.parametrize("strengths", [[1.0], [1.0] * 3])
def test_a_list_of_the_wrong_length_names_reference_and_stage(edit, never_called, strengths):
    """How many numbers it has, and how many steps the stage has."""
    stages = [rh.Stage("default", until=0.5), rh.Stage("inject", strengths)]

    with pytest.raises(rh.StrategyError) as caught, never_called():
        edit(references=[rh.Reference(tiny.picture(1), rh.Strategy(stages))], steps=4)

    assert (
        "reference 2, stage 2 (method 'inject'): strength lists"
        f" {len(strengths)} numbers, but the stage has 2 steps" == str(caught.value)
    )


def test_a_stage_without_a_step_warns(edit):
    """At so few steps nothing of it would happen, and nothing would say so."""
    stages = [rh.Stage("default", until=0.5), rh.Stage("inject", until=0.6), rh.Stage("guidance")]

    with pytest.warns(rh.RefhooksWarning) as caught:
        result = edit(strategy=rh.Strategy(stages), steps=3)

    assert [str(warning.message) for warning in caught] == [
        "reference 1, stage 2 (method 'inject') gets no step"
    ]
    assert [method for method, _, _ in rows(result)] == ["default", "default", "guidance"]


@pytest.mark.parametrize("strength", [1.6, [1.0, 1.6, 0.0]])
def test_a_strength_above_one_and_a_half_warns(edit, strength):
    """The guide sees artifacts there; the warning names the stage and the number."""
    with pytest.warns(rh.RefhooksWarning) as caught:
        edit(strategy=rh.Stage("default", strength))

    assert len(caught) == 1
    message = str(caught[0].message)
    assert "reference 1, stage 1 (method 'default'): strength 1.6 is above 1.5" in message


def test_a_strength_of_one_and_a_half_does_not_warn(edit):
    """The bound itself is fine."""
    assert len(edit(strategy=rh.Stage("default", 1.5)).timetable.steps) == 3


def test_the_timetable_prints_one_line_a_step(edit):
    """Step, noise level, and what each reference does, with the name of its strength."""
    result = edit(
        strategy=rh.Strategy([rh.Stage("default", 0.5, until=0.5), rh.Stage("inject", [0.25])]),
        references=[tiny.picture(1)],
        steps=2,
    )

    lines = [line.split() for line in str(result.timetable).splitlines()]
    assert lines[0] == ["step", "sigma", "reference", "1", "tokens", "1", "reference", "2"]
    assert lines[1] == [
        *["1/2", "1.000", "default", "0.50", "moderate", "16"],
        *["default", "1.00", "standard"],
    ]
    assert lines[2][:1] + lines[2][2:] == [
        *["2/2", "inject", "0.25", "minimal", "0"],
        *["default", "1.00", "standard"],
    ]
    assert " ".join(lines[3]) == "reference 2, at every step: tokens 16"
    assert len(lines) == 4


def test_sigmas_fall_from_one(edit):
    """The timetable has the noise levels of the run, as its steps do."""
    timetable = edit(steps=4).timetable

    assert timetable.sigmas[0] == 1.0
    assert sorted(timetable.sigmas, reverse=True) == list(timetable.sigmas)
    assert [
        (planned.step.index, planned.step.total, planned.step.progress)
        for planned in timetable.steps
    ] == [(0, 4, 0.0), (1, 4, 0.25), (2, 4, 0.5), (3, 4, 0.75)]
