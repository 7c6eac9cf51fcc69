"""Each schedule is its formula, refuses what it cannot mean, and is checked when it is compiled."""

from __future__ import annotations

import math
import re
from importlib.metadata import version
from types import SimpleNamespace
from typing import ClassVar

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refhooks as rh
from refhooks import hookimpl
from refhooks._core.plugins import loading

NAN, INF = float("nan"), float("inf")
C = (1 - math.cos(math.pi / 4)) / 2  # cosine at a quarter

FORMULAS = [
    ("constant", {"value": 0.7}, [0.7] * 5),
    ("linear", {"start": 0.0, "end": 1.0}, [0, 0.25, 0.5, 0.75, 1]),
    ("linear", {"start": 1.2, "end": 0.4}, [1.2, 1.0, 0.8, 0.6, 0.4]),
    ("cosine", {"start": 0.0, "end": 1.0}, [0, C, 0.5, 1 - C, 1]),
    ("ease-in", {"start": 0.0, "end": 1.0}, [0, 1 / 16, 1 / 4, 9 / 16, 1]),
    ("ease-in", {"start": 0.0, "end": 1.0, "power": 1}, [0, 0.25, 0.5, 0.75, 1]),
    ("ease-out", {"start": 0.0, "end": 1.0}, [0, 7 / 16, 3 / 4, 15 / 16, 1]),
    ("ease-in-out", {"start": 0.0, "end": 1.0}, [0, 1 / 8, 1 / 2, 7 / 8, 1]),
    ("ease-in-out", {"start": 0.0, "end": 1.0, "power": 3}, [0, 1 / 16, 1 / 2, 15 / 16, 1]),
    ("steps", {"values": [0.2, 0.9]}, [0.2, 0.2, 0.2, 0.9, 0.9]),
    ("steps", {"values": [0.1, 0.2, 0.3, 0.4, 0.5]}, [0.1, 0.2, 0.3, 0.4, 0.5]),
    ("steps", {"values": [k / 10 for k in range(10)]}, [0, 0.2, 0.4, 0.6, 0.8]),
    ("window", {"value": 0.8, "start": 0.25, "end": 0.5}, [0, 0.8, 0.8, 0, 0]),
    ("window", {"value": 0.8}, [0.8] * 5),
    ("sigma", {"start": 0.0, "end": 1.0}, [0, 0.2, 0.4, 0.6, 0.8]),
    ("sigma", {"start": 1.0, "end": 0.0, "above": 0.8, "below": 0.4}, [1, 1, 0.5, 0, 0]),
    ("callable", {"function": lambda step: step.sigma}, [1, 0.8, 0.6, 0.4, 0.2]),
    ("callable", {"function": lambda step: step.index / step.total}, [0, 0.2, 0.4, 0.6, 0.8]),
    ("keyframes", {"frames": [(0, 0.4), (0.5, 0.8), (1, 1.2)]}, [0.4, 0.6, 0.8, 1.0, 1.2]),
    ("keyframes", {"frames": [(0.5, 1)]}, [1] * 5),
    ("keyframes", {"frames": [(0.25, 0.5), (0.75, 1.5)]}, [0.5, 0.5, 1.0, 1.5, 1.5]),
    ("keyframes", {"frames": [(0, 0.4), (0.5, 0.8)], "interpolation": "hold"},
     [0.4, 0.4, 0.8, 0.8, 0.8]),
    ("keyframes", {"frames": [(0, 0.0), (1, 1.0)], "interpolation": "cosine"},
     [0, C, 0.5, 1 - C, 1]),
]  # fmt: skip


@pytest.fixture(scope="module")
def strengths():
    """The strength of a schedule, by name or short form, at each of N steps of one stage."""

    def strengths(schedule, steps, **options):
        given = rh.schedule(schedule, **options) if options else schedule
        return rh.plan(rh.Stage("default", given), steps).strengths(0)

    return strengths


@pytest.mark.parametrize(("name", "options", "expected"), FORMULAS)
def test_a_schedule_is_its_formula(strengths, name, options, expected):
    """Over a stage of five steps, whose noise levels are 1, 0.8, 0.6, 0.4 and 0.2."""
    assert pytest.approx(expected) == strengths(name, 5, **options)


@pytest.mark.parametrize(("name", "options", "expected"), FORMULAS)
def test_a_stage_of_one_step_has_the_first_strength(strengths, name, options, expected):
    """Its progress is 0."""
    assert pytest.approx(expected[:1]) == strengths(name, 1, **options)


def test_a_schedule_runs_over_its_own_stage(strengths):
    """From the stage's first step to its last, not over the run."""
    stages = [rh.Stage("default", "0:1", until=0.5), rh.Stage("inject", "1:0")]

    assert rh.plan(rh.Strategy(stages), 6).strengths(0) == (0, 0.5, 1, 1, 0.5, 0)


REFUSED = [
    ("constant", {"value": 2.1}, "value must be a number from 0 to 2, got 2.1"),
    ("constant", {}, "value"),
    ("linear", {"start": NAN, "end": 1}, "start must be a number from 0 to 2, got nan"),
    ("linear", {"start": 0, "end": INF}, "end must be a number from 0 to 2, got inf"),
    ("linear", {"start": True, "end": 1}, "start must be a number from 0 to 2, got True"),
    ("cosine", {"start": "0", "end": 1}, "start must be a number from 0 to 2, got '0'"),
    ("linear", {"start": 0, "ende": 1}, "no option 'ende'. Did you mean 'end'?"),
    ("ease-in", {"start": 0, "end": 1, "power": 0.5}, "power must be a number from 1 to 10"),
    ("ease-out", {"start": 0, "end": 1, "power": NAN}, "power must be a number from 1 to 10"),
    ("steps", {"values": []}, "values must be a list with at least one entry, got []"),
    ("steps", {"values": "1"}, "values must be a list with at least one entry, got '1'"),
    ("steps", {"values": [1, 3]}, "values[1] must be a number from 0 to 2, got 3"),
    ("keyframes", {"frames": []}, "frames must be a list with at least one entry"),
    ("keyframes", {"frames": [(0, 1), (0, 2)]},
     "frames[1]: progress must be above that of the frame before, 0; got 0"),
    ("keyframes", {"frames": [(0.5, 1), (0.2, 2)]}, "above that of the frame before, 0.5; got 0.2"),
    ("keyframes", {"frames": [(0, NAN)]}, "frames[0]: strength must be a number from 0 to 2"),
    ("keyframes", {"frames": [(1.5, 1)]}, "frames[0]: progress must be a number from 0 to 1"),
    ("keyframes", {"frames": [(0, 1, 1.5)]}, "guarantee_steps must be a whole number from 0"),
    ("keyframes", {"frames": [(0, 1, True)]}, "guarantee_steps must be a whole number from 0"),
    ("keyframes", {"frames": [(0, 1, -1)]}, "guarantee_steps must be a whole number from 0"),
    ("keyframes", {"frames": [0.5]}, "frames[0] must be [progress, strength]"),
    ("keyframes", {"frames": [(0, 1)] * 10_001}, "frames lists 10001 entries; at most 10000"),
    ("keyframes", {"frames": [(0, 1)], "interpolation": "cubic"}, "'interpolation' must be in"),
    ("keyframes", {"frames": [(0, 1)], "places": ()}, "no option 'places'"),
    ("window", {"value": 1, "start": 0.6, "end": 0.4}, "end must be at or above start, 0.6; got"),
    ("window", {"value": 1, "end": 1.1}, "end must be a number from 0 to 1, got 1.1"),
    ("sigma", {"start": 1, "end": 0, "above": 0.2, "below": 0.4},
     "below must be less than above, 0.2; got 0.4"),
    ("sigma", {"start": 1, "end": 0, "above": NAN}, "above must be a number from 0 to 1, got nan"),
    ("callable", {"function": "os.system"}, "function must be callable as function(step)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "words"), REFUSED)
def test_an_option_that_means_nothing_is_refused(name, options, words):
    """The message names the schedule, the option, its bounds and what came."""
    with pytest.raises(rh.InputError) as caught:
        rh.schedule(name, **options)

    assert str(caught.value).startswith(f"schedule {name!r}")
    assert words in str(caught.value)


def test_an_unknown_schedule_is_refused():
    """With what was probably meant, and all that there are."""
    with pytest.raises(rh.UnknownNameError, match="Did you mean 'linear'") as caught:
        rh.schedule("linaer")

    assert "keyframes, linear, sigma, steps, window" in str(caught.value)


GUARANTEES = [
    # Without a promise the frames at 0.1 and 0.2 are never the strength of any of the four steps.
    ([(0, 0.2), (0.1, 0.5), (0.2, 0.8), (0.3, 1.0)], 4, "hold", [0.2, 1.0, 1.0, 1.0]),
    ([(0, 0.2), (0.1, 0.5, 1), (0.2, 0.8, 1), (0.3, 1.0)], 4, "hold", [0.2, 0.5, 0.8, 1.0]),
    ([(0, 0.2), (0.1, 0.5, 2), (0.3, 1.0)], 4, "linear", [0.2, 0.5, 0.5, 1.0]),
    ([(0, 0.2, 2), (1, 1.2)], 5, "linear", [0.2, 0.2, 0.7, 0.95, 1.2]),
    ([(0, 0.2, 1), (0.1, 0.4, 1), (0.2, 0.6, 1), (0.3, 0.8, 1)], 4, "linear", [0.2, 0.4, 0.6, 0.8]),
    ([(0, 0.2), (1, 0.9, 1)], 3, "hold", [0.2, 0.2, 0.9]),
]  # fmt: skip


@pytest.mark.parametrize(("frames", "steps", "interpolation", "expected"), GUARANTEES)
def test_a_keyframe_keeps_its_guaranteed_steps(strengths, frames, steps, interpolation, expected):
    """The first step at or after it and those that follow, one frame after the other."""
    found = strengths("keyframes", steps, frames=frames, interpolation=interpolation)

    assert found == pytest.approx(expected)


@pytest.mark.parametrize("frames", [[(1, 0.5, 2)], [(0, 1, 3), (0.1, 0.5, 2)], [(0.5, 1, 4)]])
def test_a_guarantee_that_cannot_be_kept_is_refused(strengths, frames):
    """The message names reference, stage, schedule, frame and the number of steps."""
    with pytest.raises(rh.StrategyError) as caught:
        strengths("keyframes", 4, frames=frames)

    message = str(caught.value)
    assert message.startswith("reference 1, stage 1 (method 'default'): schedule 'keyframes': ")
    assert f"is guaranteed {frames[-1][2]} step(s), which a stage of 4 step(s)" in message


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40, unique=True),
    st.integers(1, 60),
    st.sampled_from(["hold", "linear", "cosine"]),
)
def test_keyframes_stay_between_their_strengths(places, steps, interpolation):
    """Whatever the frames and the number of steps: no interpolation overshoots."""
    frames = [(place, 2 * (k % 3) / 2) for k, place in enumerate(sorted(places))]
    given_by = rh.schedule("keyframes", frames=frames, interpolation=interpolation)
    low, high = min(s for _, s in frames), max(s for _, s in frames)

    for index in range(steps):
        step = rh.StageStep(index, steps, rh.Step(index, steps, 1.0))
        assert low <= given_by.strength(step) <= high


SHORT = [
    ("0.4:1.0", ("linear", {"start": 0.4, "end": 1.0})),
    ("0.4:1.0:linear", ("linear", {"start": 0.4, "end": 1.0})),
    ("0.4:1.0:cosine", ("cosine", {"start": 0.4, "end": 1.0})),
    ("1:0:ease-in", ("ease-in", {"start": 1, "end": 0})),
    ("1:0:ease-out", ("ease-out", {"start": 1, "end": 0})),
    ("1:0:ease-in-out", ("ease-in-out", {"start": 1, "end": 0})),
    ("0@0.4,0.5@0.8,1@1.2", ("keyframes", {"frames": [(0, 0.4), (0.5, 0.8), (1, 1.2)]})),
    ("0@0.4", ("keyframes", {"frames": [(0, 0.4)]})),
]


@pytest.mark.parametrize(("text", "expected"), SHORT)
def test_a_short_form_is_a_schedule(strengths, text, expected):
    """As ``strength`` of a stage; the stage keeps the text."""
    name, options = expected

    assert rh.load_registry().schedule_from(text) == rh.schedule(name, **options)
    assert rh.Stage("default", text).strength == text
    assert strengths(text, 5) == strengths(name, 5, **options)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("much", "is neither a number nor a schedule. Forms: "),
        ("0.4:1:cosin", "START:END:cosine"),
        ("0.4:1:2", "neither a number nor a schedule"),
        ("0@1,", "PROGRESS@STRENGTH"),
        ("2.4:1", "schedule 'linear': start must be a number from 0 to 2, got 2.4"),
        ("nan:1", "start must be a number from 0 to 2, got nan"),
        ("0@1,0@2", "schedule 'keyframes': frames[1]: progress must be above"),
    ],
)
def test_a_text_that_is_no_short_form_is_refused(strengths, text, words):
    """When it is compiled, with reference, stage and the forms that there are."""
    with pytest.raises(rh.StrategyError, match=re.escape(words)) as caught:
        strengths(text, 4)

    assert f"reference 1, stage 1 (method 'default'): strength {text!r}" in str(caught.value)


BAD = [NAN, INF, -0.1, 2.1, True, None, "1"]


@pytest.mark.parametrize("value", BAD)
def test_what_a_schedule_returns_is_checked(value):
    """The error names reference, stage, schedule and step, before anything runs."""
    schedule = rh.schedule("callable", function=lambda step: value if step.index == 1 else 1.0)
    strategy = rh.Strategy([rh.Stage("inject", until=0.5), rh.Stage("default", schedule)])
    references = [rh.Reference("a.png", "inject"), rh.Reference("b.png", strategy)]

    with pytest.raises(rh.StrategyError) as caught:
        rh.plan(references, 4)

    assert str(caught.value) == (
        "reference 2, stage 2 (method 'default'): schedule 'callable' [refhooks"
        f" {version('refhooks')}] at step 4 of 4: strength must be a number from 0 to 2,"
        f" got {value!r}"
    )


def test_an_error_in_a_schedule_keeps_its_type():
    """And is given a note that says where it was."""
    schedule = rh.schedule("callable", function=lambda _: 1 // 0)

    with pytest.raises(ZeroDivisionError) as caught:
        rh.plan(rh.Stage("default", schedule), 4)

    (note,) = caught.value.__notes__
    assert note == (
        "raised by reference 1, stage 1 (method 'default'), schedule 'callable' [refhooks"
        f" {version('refhooks')}], at step 1 of 4"
    )


@attrs.frozen
class Half:
    """A stranger's schedule, with a short form that a shipped one has too."""

    name: ClassVar[str] = "half"
    short: ClassVar[str] = "half"

    def strength(self, step):
        return 0.5

    @classmethod
    def parse(cls, text):
        return cls() if text in {"half", "0:1"} else None


def test_a_schedule_need_not_be_registered(strengths):
    """An instance is enough, as for methods."""
    assert strengths(Half(), 3) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("value", [Half, object()])
def test_what_is_no_schedule_is_refused(value):
    """A class, and anything without a name and ``strength``."""
    with pytest.raises(rh.StrategyError, match="strength must be a number from 0 to 2, got"):
        rh.Stage("default", value)


@pytest.fixture
def with_half(monkeypatch):
    """Load the stranger's schedule beside the shipped ones."""
    plugin = SimpleNamespace(refhooks_schedules=hookimpl(lambda: [Half]))
    point = SimpleNamespace(name="half", value="half", load=lambda: plugin)
    point.dist = SimpleNamespace(name="half", version="1")
    shipped = list(loading.entry_points(group="refhooks"))
    monkeypatch.setattr(loading, "entry_points", lambda group: [*shipped, point])
    loading._load.cache_clear()
    yield rh.load_registry()
    loading._load.cache_clear()


def test_a_strangers_schedule_is_an_equal(with_half, strengths):
    """By its name and its short form; where two schedules read one form, neither wins."""
    assert rh.schedule("half") == Half()
    assert strengths("half", 2) == (0.5, 0.5)
    with pytest.raises(rh.StrategyError, match="any of the schedules half, linear"):
        strengths("0:1", 2)


def test_a_number_is_short_for_one_switch_only(monkeypatch):
    """A second plugin that claims it does not load, so installing it changes no run."""

    @attrs.frozen
    class Mine:
        name: ClassVar[str] = "mine"
        number: ClassVar[str] = "at"
        at: float

        def ended(self, step):
            return True

    plugin = SimpleNamespace(refhooks_switches=hookimpl(lambda: [Mine]))
    point = SimpleNamespace(name="zz", value="zz", load=lambda: plugin, dist=None)
    shipped = list(loading.entry_points(group="refhooks"))
    monkeypatch.setattr(loading, "entry_points", lambda group: [*shipped, point])
    loading._load.cache_clear()
    registry = rh.load_registry()
    loading._load.cache_clear()

    assert (
        "'until=NUMBER' is already registered by plugin 'switching'" in registry.records[-1].reason
    )
    assert registry.switch_at(0.5) == registry.switch("progress", {"at": 0.5})


@pytest.mark.parametrize(
    ("hook", "kind", "call"),
    [("refhooks_schedules", "schedule", "strength(step)"),
     ("refhooks_switches", "switch", "ended(step)")],
)  # fmt: skip
def test_a_class_that_is_none_breaks_its_plugin(monkeypatch, hook, kind, call):
    """The reason says what is missing."""
    plugin = SimpleNamespace(**{hook: hookimpl(lambda: [int])})
    point = SimpleNamespace(name="bad", value="bad", load=lambda: plugin, dist=None)
    monkeypatch.setattr(loading, "entry_points", lambda group: [point])
    loading._load.cache_clear()
    [record] = rh.load_registry().records
    loading._load.cache_clear()

    assert record.state == "broken"
    assert f"is not a {kind}: it needs a name and {call}" in record.reason
