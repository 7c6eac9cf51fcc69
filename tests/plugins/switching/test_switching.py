"""A switch ends a stage at the first step for which it says so, and leaves no trace."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks import hookimpl
from refhooks._core.plugins import loading


@pytest.fixture(scope="module")
def edit(editor):
    """``edit()`` of one picture in four steps, unless the call says otherwise."""

    def edit(image=None, prompt="make it blue", **kwargs):
        return editor.edit(
            image or tiny.picture(), prompt, **{"steps": 4, "seed": 1, "cfg": 2.0, **kwargs}
        )

    return edit


def stages(timetable, reference=0):
    """Return the stage in force at each step."""
    return [planned.rows[reference].stage for planned in timetable.steps]


def two(until, steps=10):
    """Return the stages of a strategy whose first stage ends at ``until``."""
    return stages(
        rh.plan(rh.Strategy([rh.Stage("default", until=until), rh.Stage("inject")]), steps)
    )


@pytest.mark.parametrize(
    ("name", "options", "first"),
    [
        ("progress", {"at": 0.5}, 5),
        ("progress", {"at": 0.51}, 6),
        ("progress", {"at": 0.01}, 1),
        ("sigma", {"below": 0.3}, 8),
        ("sigma", {"below": 0.31}, 7),
        ("sigma", {"below": 1}, 1),
        ("callable", {"function": lambda step: step.index == 3}, 3),
        ("callable", {"function": lambda step: step.run.index >= 7}, 7),
        ("callable", {"function": lambda step: step.total - step.index <= 2}, 8),
        ("callable", {"function": lambda step: [1] * (step.index == 4)}, 4),
    ],
)
def test_a_switch_ends_its_stage_at_a_step(name, options, first):
    """Ten steps, whose noise levels are 1, 0.9, … 0.1; the next stage starts there."""
    assert two(rh.switch(name, **options)) == [0] * first + [1] * (10 - first)


@pytest.mark.parametrize("at", [0.1, 1 / 3, 0.5, 0.9999, 1.0])
@pytest.mark.filterwarnings("ignore:.* gets no step")
def test_a_number_is_the_switch_by_progress(at):
    """``until=0.5`` is made through the registered switch that a number is short for."""
    assert two(at, 7) == two(rh.switch("progress", at=at), 7)
    assert rh.load_registry().switch_at(at) == rh.switch("progress", at=at)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("progress", {"at": 0}, "at must be a number above 0, up to 1; got 0"),
        ("progress", {"at": 1.1}, "got 1.1"),
        ("progress", {"at": float("nan")}, "got nan"),
        ("progress", {"at": True}, "got True"),
        ("sigma", {"below": 0}, "below must be a number above 0, up to 1; got 0"),
        ("sigma", {"below": "0.3"}, "got '0.3'"),
        ("sigma", {"above": 0.3}, "no option 'above'"),
        ("callable", {"function": 3}, "function must be callable as function(step), got 3"),
    ],
)
def test_an_option_that_means_nothing_is_refused(name, options, words):
    """The message names the switch, the option and what came."""
    with pytest.raises(rh.InputError) as caught:
        rh.switch(name, **options)

    assert str(caught.value).startswith(f"switch {name!r}")
    assert words in str(caught.value)


def test_any_number_of_switches_of_any_kind():
    """Each is asked from its own stage's first step on."""
    strategy = rh.Strategy(
        [
            rh.Stage("default", until=0.2),
            rh.Stage("inject", until=rh.switch("callable", function=lambda step: step.index == 2)),
            rh.Stage("cross_attn", until=rh.switch("sigma", below=0.45)),
            rh.Stage("default", until=0.8),
            rh.Stage("guidance"),
        ]
    )

    assert stages(rh.plan(strategy, 10)) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_each_reference_switches_by_itself():
    """One by progress, one by noise level, one never."""
    first = rh.Strategy([rh.Stage("default", until=0.5), rh.Stage("inject")])
    second = rh.Strategy(
        [
            rh.Stage("inject", until=rh.switch("sigma", below=0.9)),
            rh.Stage("default"),
        ]
    )
    pictures = [rh.Reference(f"{k}.png", s) for k, s in enumerate((first, second, "default"))]
    timetable = rh.plan(pictures, 4)

    assert [stages(timetable, k) for k in range(3)] == [[0, 0, 1, 1], [0, 1, 1, 1], [0] * 4]


def test_a_switch_that_never_fires_leaves_the_rest_without_a_step():
    """Which warns by name, as every stage without a step does."""
    with pytest.warns(rh.RefhooksWarning, match=r"reference 1, stage 2 .* gets no step"):
        assert two(rh.switch("sigma", below=0.01)) == [0] * 10


def test_a_switch_that_fires_at_once_leaves_its_stage_without_a_step():
    """The next stage starts where it would have."""
    with pytest.warns(rh.RefhooksWarning, match="stage 1 .* gets no step"):
        assert two(rh.switch("callable", function=lambda _: True)) == [1] * 10


def test_a_last_stage_that_ends_early_is_refused():
    """The message names its switch."""
    stage = rh.Stage("default", until=rh.switch("sigma", below=0.5))

    with pytest.raises(rh.StrategyError) as caught:
        rh.plan(stage, 4)

    assert str(caught.value) == (
        "reference 1: the last stage ends by its switch 'sigma', but step 4 of 4 is at 0.75; leave"
        " its until out, or add a stage"
    )


@attrs.frozen
class Says:
    """A switch that says what it is told to."""

    name: ClassVar[str] = "says"
    value: object

    def ended(self, step):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize("value", [None, 1, "no"])
def test_a_switch_says_true_or_false(value):
    """Anything else names reference, stage, switch and step."""
    with pytest.raises(rh.StrategyError) as caught:
        two(Says(value))

    assert str(caught.value) == (
        "reference 1, stage 1 (method 'default'): switch 'says' at step 1 of 10 must say True or"
        f" False, got {value!r}"
    )


def test_an_error_in_a_switch_keeps_its_type():
    """And is given a note that says where it was."""
    with pytest.raises(KeyError) as caught:
        two(Says(KeyError("x")))

    [note] = caught.value.__notes__
    assert "raised by reference 1, stage 1 (method 'default'), switch 'says', at step 1" in note


def test_without_the_plugin_a_number_is_refused(monkeypatch):
    """A stage is made without plugins; compiling it says which one is off."""
    stage = rh.Stage("default", until=0.5)
    monkeypatch.setenv("REFHOOKS_BLOCK", "switching")
    loading._load.cache_clear()

    with pytest.raises(rh.UnknownNameError) as caught:
        rh.plan(rh.Strategy([stage, rh.Stage("default")]), 4)
    loading._load.cache_clear()

    assert "until=0.5 needs a switch that a number is short for" in str(caught.value)
    assert "Not loaded: switching (blocked by REFHOOKS_BLOCK)" in str(caught.value)


class Latents:
    """Keeps the latents before each step, or puts others in at one of them."""

    def __init__(self, swap=None, at=None):
        self.seen, self.swap, self.at = [], swap, at

    @hookimpl(tryfirst=True)
    def refhooks_step(self, ctx, latents):
        self.seen.append(latents.clone())
        return self.swap if ctx.step.index == self.at else None


METHODS = {
    "default": "default",
    "cross_attn": "cross_attn",
    "guidance": "guidance",
    "inject": "inject",
    "blend": rh.method("inject", formula="blend", where="latents"),
    "pull": rh.method("inject", formula="pull", tokens="keep"),
}


@pytest.mark.parametrize("before", METHODS)
@pytest.mark.parametrize("after", ["default", "cross_attn", "inject", "blend"])
def test_a_switch_leaves_no_trace(edit, before, after):
    """The rest of a run equals, to the bit, a run that starts there from the same latents."""
    stages = [rh.Stage(METHODS[before], 0.6, until=0.5), rh.Stage(METHODS[after], 0.8)]
    watch = Latents()
    switched = edit(strategy=rh.Strategy(stages), plugins=[watch])

    alone = rh.Stage(METHODS[after], [0, 0, 0.8, 0.8])
    started_there = edit(strategy=alone, plugins=[Latents(watch.seen[2], at=2)])

    assert torch.equal(switched.latents, started_there.latents)
    assert not torch.equal(switched.latents, edit(strategy=alone).latents)


def test_what_ran_is_what_was_planned(editor, edit, tmp_path):
    """The plan from files and noise levels of the model equals what the hooks saw, row by row."""
    place = tmp_path / "photo.png"
    tiny.picture().save(place)
    strategy = rh.Strategy(
        [
            rh.Stage("default", "0.4:1.0", until=rh.switch("sigma", below=0.8)),
            rh.Stage("inject", rh.schedule("keyframes", frames=[(0, 0.2, 1), (1, 1)]), until=0.7),
            rh.Stage("cross_attn", rh.schedule("sigma", start=0.2, end=1.2)),
        ]
    )
    references = [rh.Reference(place, strategy), rh.Reference(place)]
    rh.dump_strategy(references, tmp_path / "both.toml")
    planned = rh.plan(rh.load_references(tmp_path / "both.toml"), 9, editor=editor)
    seen = []

    class Spy:
        @hookimpl
        def refhooks_step(self, ctx, latents):
            seen.append(rh.Planned(ctx.step, ctx.rows))

    source, other = rh.load_references(tmp_path / "both.toml")
    result = edit(source, references=[other], steps=9, plugins=[Spy()])

    assert result.timetable == planned
    assert planned.steps == tuple(seen)
    assert sorted(set(stages(planned))) == [0, 1, 2]


def test_a_source_has_one_strategy(edit):
    """A Reference as the picture, and a strategy besides, contradict each other."""
    with pytest.raises(rh.InputError, match="image is a Reference, which has a strategy"):
        edit(rh.Reference(tiny.picture(), "inject"), strategy="default")
