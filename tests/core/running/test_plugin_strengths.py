"""Run plugins with a strength and a window, and those that look at what is predicted."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks import hookimpl
from refhooks.errors import InputError, StrategyError

SEEN = []


@attrs.frozen
class Glow:
    """Moves the latents up by its strength.

    Attributes:
        strength: 0-2, as a stage takes it.
        start: Progress of the run from which it acts.
        end: Progress at which it ends.
    """

    name: ClassVar[str] = "test-glow"
    scheduled: ClassVar[bool] = True
    strength: Any = 1.0
    start: float = 0.0
    end: float = 1.0

    def bind_run(self, run):
        return Glowing(run.strengths)


class Glowing:
    def __init__(self, strengths):
        self.strengths = strengths

    @hookimpl
    def refhooks_step(self, ctx, latents):
        SEEN.append((ctx.step.index, self.strengths[ctx.step.index]))
        return latents + 0.1 * self.strengths[ctx.step.index]


@attrs.frozen
class Eye:
    """Decodes what is predicted at every step, and changes nothing."""

    name: ClassVar[str] = "test-eye"

    def bind_run(self, run):
        return Looking(run.decode)


class Looking:
    def __init__(self, decode):
        self.decode = decode

    @hookimpl
    def refhooks_velocity(self, ctx, latents, velocity):
        SEEN.append(self.decode(latents - ctx.step.sigma * velocity))


@pytest.fixture(autouse=True)
def registered(monkeypatch, editor):
    """As installed plugins would be, and nothing seen yet."""
    for registry in {id(it): it for it in (rh.load_registry(), editor.registry)}.values():
        monkeypatch.setitem(registry.plugins, "test-glow", Glow)
    SEEN.clear()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"strength": 0.5}, (0.5, 0.5, 0.5, 0.5)),
        ({"strength": "0.4:1.0", "end": 0.5}, (0.4, 1.0, 0.0, 0.0)),
        ({"strength": [0.1, 0.2], "start": 0.5}, (0.0, 0.0, 0.1, 0.2)),
        ({"strength": rh.schedule("linear", start=1.0, end=0.0)}, (1.0, 2 / 3, 1 / 3, 0.0)),
        ({"strength": lambda step: step.index / 2, "start": 0.25, "end": 0.75}, (0.0, 0.0, 0.5, 0)),
    ],
)
def test_its_strength_is_compiled_like_a_stages(edit, options, expected):
    """Over the steps of its window; it is called where it is above 0."""
    result = edit(plugins=[Glow(**options)], steps=4)

    strengths = result.timetable.plugins[0].strengths
    assert strengths == pytest.approx(expected)
    assert [(step, it) for step, it in enumerate(strengths) if it] == SEEN


def test_at_strength_0_it_is_not_there(edit, clean):
    """To the bit."""
    assert torch.equal(clean, edit(plugins=[Glow(0.0)]).latents)
    assert not torch.equal(clean, edit(plugins=[Glow(0.5)]).latents)


def test_the_timetable_has_a_column_for_it(edit):
    """And so have its JSON and its plot."""
    timetable = edit(plugins=[Glow("0.4:1.0"), Glow(1.0, start=0.5)]).timetable

    assert "plugin test-glow #2" in str(timetable).splitlines()[0]
    assert "0.40 moderate" in str(timetable).splitlines()[1]
    assert [it["name"] for it in timetable.as_dict()["plugins"]] == [
        "plugin test-glow #1", "plugin test-glow #2"
    ]  # fmt: skip
    pytest.importorskip("matplotlib")
    assert len(timetable.figure().axes) == 3


@pytest.mark.parametrize(
    "strength", ["0.4:1.0", 0.7, rh.schedule("cosine", start=0.2, end=1.0), lambda _step: 0.3]
)
def test_a_replay_gives_the_same(editor, edit, strength, tmp_path):
    """Also where it was a function, of which the recipe holds what it gave."""
    place, source = tmp_path / "a.png", tmp_path / "source.png"
    tiny.picture().save(source)
    result = edit(source, plugins=[Glow(strength, end=0.5)])
    result.save(place)

    assert torch.equal(
        result.latents, editor.replay(rh.load_recipe(place), references=[source]).latents
    )


def test_a_file_holds_it(tmp_path):
    """As [[plugin]], with a schedule as a stage has it; and so does `plan`."""
    path = tmp_path / "s.toml"
    glow = Glow(rh.schedule("linear", start=0.4, end=1.0), end=0.5)
    rh.dump_strategy(rh.Strategy("default"), path, plugins=[glow])

    assert (glow,) == rh.load_plugins(path)
    planned = rh.plan("default", 4, plugins=rh.load_plugins(path))
    assert planned.plugins[0].strengths == (0.4, 1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 3.0}, "test-glow of the call: strength must be a number from 0 to 2"),
        ({"strength": [1.0]}, "strength lists 1 numbers, but the stage has 3 steps"),
        ({"start": 0.6, "end": 0.4}, "end must be above start, 0.6; got 0.4"),
        ({"end": 7}, "test-glow of the call: end must be a number from 0 to 1"),
    ],
)
def test_what_is_no_strength_is_refused(edit, never_called, options, message):
    """In one sentence that names the plugin, before anything runs."""
    with never_called(), pytest.raises(StrategyError, match=message):
        edit(plugins=[Glow(**options)])


def test_a_plugin_sees_what_is_predicted(edit, clean, editor):
    """As pictures; the run is the same to the bit."""
    result = edit(plugins=[Eye()])

    assert torch.equal(clean, result.latents)
    assert [tuple(it.shape) for it in SEEN] == [(1, 3, 32, 32)] * 3
    assert all(float(it.min()) >= 0.0 and float(it.max()) <= 1.0 for it in SEEN)


def test_latents_that_are_no_pictures_are_refused(edit):
    """By their shape."""

    class Wrong(Looking):
        @hookimpl
        def refhooks_velocity(self, latents):
            self.decode(latents[:, 1:])

    eye = type("WrongEye", (Eye,), {"bind_run": lambda _, run: Wrong(run.decode)})
    with pytest.raises(InputError, match="latents of a picture of 32x32 are"):
        edit(tiny.picture(), plugins=[eye()])
