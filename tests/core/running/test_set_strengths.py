"""Strengths that hooks set while a run goes, by what they measure."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks import hookimpl, testing
from refhooks.errors import HookReturnError


@attrs.frozen
class Steer:
    """Sets the first reference by how large the velocity is, or to what it is told.

    Attributes:
        to: Strength, above 0 and at most 2.
    """

    name: ClassVar[str] = "test-steer"
    to: float | None = None

    def bind_run(self, run):
        return Steering(self.to)


class Steering:
    def __init__(self, to):
        self.to = to

    @hookimpl
    def refhooks_strengths(self, velocity, strengths):
        measured = 0.3 + float(velocity.square().mean()) % 0.5
        return [measured if self.to is None else self.to, *strengths[1:]]


class Returning:
    """Sets what it was made with."""

    def __init__(self, value):
        self.value = value

    @hookimpl
    def refhooks_strengths(self):
        return self.value


@pytest.fixture(autouse=True)
def registered(monkeypatch, editor):
    """As an installed plugin would be."""
    for registry in {id(it): it for it in (rh.load_registry(), editor.registry)}.values():
        monkeypatch.setitem(registry.plugins, "test-steer", Steer)


METHODS = [
    rh.method("default"), rh.method("default", above_one="latents"), rh.method("cross_attn"),
    rh.method("cross_attn", reuse="every 2"), rh.method("inject"),
    rh.method("inject", formula="gate"), rh.method("concat", tied=True),
]  # fmt: skip


@pytest.mark.parametrize("to", [0.4, 1.4])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_it_is_as_if_it_had_been_planned(edit, method, to):
    """From the second step on, to the bit, whatever the method decides when it is bound."""
    steered = edit(strategy=rh.Stage(method, 1.0), plugins=[Steer(to)], steps=4)
    planned = edit(strategy=rh.Stage(method, [1.0, to, to, to]), steps=4)

    assert steered.timetable.strengths(0) == (1.0, to, to, to)
    assert torch.equal(planned.latents, steered.latents)


def test_the_timetable_says_who_sets_what(editor, edit):
    """A plan that it may; the result what was applied."""
    planned = rh.plan([rh.Reference(tiny.picture())], 3, editor=editor, plugins=[Steer()])
    result = edit(plugins=[Steer()], steps=3)

    said = "strengths after the first step may be set by plugin test-steer"
    assert said in str(planned)
    assert planned.strengths(0) == (1.0, 1.0, 1.0)
    assert len(set(result.timetable.strengths(0))) == 3
    assert said in str(result.timetable)
    assert result.timetable.as_dict()["steered"] == ["plugin test-steer"]


def test_nothing_is_said_where_nothing_sets_them(edit):
    """Neither in the table nor in the recipe."""
    result = edit()

    assert result.timetable.steered == ()
    assert result.recipes[0].strengths == ()


def test_a_replay_measures_again_and_gives_the_same(editor, edit, tmp_path):
    """The recipe holds what was applied; the picture is the same to the bit."""
    place, source = tmp_path / "a.png", tmp_path / "source.png"
    tiny.picture().save(source)
    result = edit(source, plugins=[Steer()], steps=4)
    result.save(place)
    recipe = rh.load_recipe(place)

    replayed = editor.replay(recipe, references=[source])
    assert recipe.strengths == (result.timetable.strengths(0),)
    assert recipe.strengths == (replayed.timetable.strengths(0),)
    assert torch.equal(result.latents, replayed.latents)


def test_a_replay_says_that_strengths_are_others(editor, edit, tmp_path, monkeypatch):
    """As where the plugin measures in another way today."""
    place, source = tmp_path / "a.png", tmp_path / "source.png"
    tiny.picture().save(source)
    edit(source, plugins=[Steer()], steps=4).save(place)
    monkeypatch.setattr(Steering, "refhooks_strengths", Returning.refhooks_strengths)
    monkeypatch.setattr(Steering, "value", (0.05,), raising=False)

    with pytest.warns(rh.RefhooksWarning, match="strengths that were set while it ran are others"):
        editor.replay(rh.load_recipe(place), references=[source])


def test_what_is_planned_at_0_stays(edit):
    """The reference takes part where the plan says so."""
    given = rh.Stage("default", [1.0, 0.0, 1.0])
    result = edit(strategy=given, plugins=[Keeping()], steps=3)

    assert result.timetable.strengths(0) == (1.0, 0.0, 0.6)


class Keeping:
    """Sets each that may be set."""

    @hookimpl
    def refhooks_strengths(self, strengths):
        return [0.6 if it else 0.0 for it in strengths]


@pytest.mark.parametrize(
    ("strategy", "value", "message"),
    [
        (None, [0.5, 0.5], "one strength for each of the 1 references, or None, got"),
        (None, 0.5, "one strength for each of the 1 references, or None, got 0.5"),
        (None, [0.0], "reference 1 must be a number above 0, at most 2, got 0.0"),
        (None, [2.5], "reference 1 must be a number above 0, at most 2, got 2.5"),
        (None, [float("nan")], "reference 1 must be a number above 0, at most 2, got nan"),
        (None, [True], "reference 1 must be a number above 0, at most 2, got True"),
        (None, [torch.tensor(0.5)], "reference 1 must be a number above 0, at most 2, got"),
        (rh.Stage("default", [1.0, 0.0, 1.0]), [0.5], "is 0 in the plan, so it must stay 0, got"),
    ],
)
def test_what_is_no_strength_is_refused(edit, strategy, value, message):
    """With the plugin, the hook and the step."""
    with pytest.raises(HookReturnError, match=message) as raised:
        edit(strategy=strategy, plugins=[Returning(value)], steps=3)
    assert "refhooks_strengths, step 1 of 3" in str(raised.value)


def test_the_kit_tells_a_plugin_that_sets_no_strength():
    """And lets a good one pass."""
    bad = type("Bad", (Steer,), {"bind_run": lambda *_: Returning([3.0])})

    with pytest.raises(testing.CheckFailed, match="reference 1 must be a number above 0, at most"):
        testing.check_plugin(Registering([bad]))
    assert testing.check_plugin(Registering([Steer])).ok


class Registering:
    """A plugin that brings run plugins."""

    def __init__(self, classes):
        self.classes = classes

    @hookimpl
    def refhooks_plugins(self):
        return self.classes


@attrs.frozen
class Own:
    """A method that sets its own reference, or another's."""

    name: ClassVar[str] = "test-own"
    place: int = 0

    def bind(self, reference, run):
        return Setting(self.place)


class Setting:
    def __init__(self, place):
        self.place = place

    @hookimpl
    def refhooks_strengths(self, strengths):
        return [0.7 if at == self.place else it for at, it in enumerate(strengths)]


def test_a_method_sets_its_own_alone(edit):
    """That of another reference is refused."""
    other = rh.Reference(tiny.picture(), strategy="default")
    result = edit(strategy=rh.Stage(Own()), references=[other], steps=3)

    assert result.timetable.steered == ("test-own of reference 1",)
    assert result.timetable.strengths(0) == (1.0, 0.7, 0.7)
    assert result.timetable.strengths(1) == (1.0, 1.0, 1.0)
    with pytest.raises(HookReturnError, match="reference 2 is not the method's own"):
        edit(strategy=rh.Stage(Own(1)), references=[other], steps=3)
