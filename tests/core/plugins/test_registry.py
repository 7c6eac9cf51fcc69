"""Plugins are found, filtered, loaded one by one, and named where one is missing."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import ClassVar

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks import hookimpl
from refhooks._core.plugins import loading


class Point:
    """An entry point of a distribution that is not installed."""

    def __init__(self, name, plugin=None, distribution="Some_Plugins"):
        self.name = name
        self.value = f"{name}_module"
        self.dist = SimpleNamespace(name=distribution, version="1.2")
        self.plugin = plugin
        self.imported = False

    def load(self):
        self.imported = True
        if isinstance(self.plugin, BaseException):
            raise self.plugin
        return self.plugin


def bringing(*names):
    """Return a plugin module that registers methods of these names."""
    made = [
        attrs.frozen(
            type(name, (), {"name": name, "__annotations__": {"name": ClassVar[str]},
                            "bind": lambda _self, reference, run: (reference, run)})
        )
        for name in names
    ]  # fmt: skip
    return SimpleNamespace(refhooks_methods=hookimpl(lambda: made))


@pytest.fixture
def load(monkeypatch):
    """Load a registry of the entry points and environment given."""

    def load(*points, allow=None, block=None):
        if points:
            monkeypatch.setattr(loading, "entry_points", lambda group: list(points))
        for variable, value in (("REFHOOKS_PLUGINS", allow), ("REFHOOKS_BLOCK", block)):
            if value is not None:
                monkeypatch.setenv(variable, value)
        loading._load.cache_clear()
        return rh.load_registry()

    yield load
    loading._load.cache_clear()


def states(registry):
    """Return the state of each plugin by its name."""
    return {record.name: record.state for record in registry.records}


def test_shipped_plugins_are_live(load):
    """Every installed entry point loads, and says what it registers."""
    registry = load()

    assert {"live"} == set(states(registry).values())
    assert {"default", "guidance", "inject"} <= set(registry.methods)
    assert {"qwen-image-edit", "qwen-image-edit-plus"} <= set(registry.families)
    assert next(record.registers for record in registry.records if record.name == "inject") == (
        "method inject",
    )
    assert {"refhooks"} == {record.distribution for record in registry.records}


BROKEN = {
    "import": (ImportError("no module named nowhere"), "ImportError: no module named nowhere"),
    "syntax": (SyntaxError("bad line"), "SyntaxError: bad line"),
    "exit": (SystemExit(3), "SystemExit: 3"),
    "unmarked": (SimpleNamespace(refhooks_methods=lambda: ()), "not marked"),
    "nothing": (SimpleNamespace(), "no registration hook"),
    "no method": (SimpleNamespace(refhooks_methods=hookimpl(lambda: [int])), "is not a method"),
    "raises": (SimpleNamespace(refhooks_models=hookimpl(lambda: 1 // 0)), "ZeroDivisionError"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_recorded_and_the_others_live(load, kind):
    """Whatever fails while one loads is its reason."""
    plugin, reason = BROKEN[kind]

    registry = load(Point("a", bringing("one")), Point("b", plugin), Point("c", bringing("two")))

    assert states(registry) == {"a": "live", "b": "broken", "c": "live"}
    assert reason in registry.records[1].reason
    assert sorted(registry.methods) == ["one", "two"]


def test_a_broken_plugin_is_named_where_its_method_is_missing(load):
    """The error for an unknown name lists what did not load, and why."""
    registry = load(Point("a", bringing("one")), Point("b", SyntaxError("no torch_x")))

    with pytest.raises(rh.UnknownNameError) as caught:
        registry.method("two")

    assert (
        str(caught.value)
        == "there is no method 'two'. Registered: one. Not loaded: b (SyntaxError: no torch_x)."
    )


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("wide = Wide()", "NameError: name 'Wide' is not defined (wrong_one.py, line 2)"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere' (wrong_one.py, line 2)"),
        ("wide = (", "SyntaxError: '(' was never closed (wrong_one.py, line 2)"),
        ("", "PluginError: plugin 'wrong': module has no registration hook"),
    ],
)
def test_what_is_wrong_in_a_module_is_named_with_its_line(
    load, tmp_path, monkeypatch, second, reason
):
    """The author sees no traceback in `refhooks plugins`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wrong_one", raising=False)
    (tmp_path / "wrong_one.py").write_text(f"import attrs\n{second}\n")

    registry = load(EntryPoint("wrong", "wrong_one", "refhooks"))

    assert registry.records[0].reason.startswith(reason)


@pytest.mark.parametrize("turned", [False, True])
def test_a_name_that_is_taken_breaks_the_later_plugin(load, turned):
    """Later by the name of its entry point, whatever the order of installation."""
    points = [Point("b", bringing("one", "three")), Point("a", bringing("one", "two"))]

    registry = load(*(reversed(points) if turned else points))

    assert states(registry) == {"a": "live", "b": "broken"}
    assert sorted(registry.methods) == ["one", "two"]
    assert "method 'one' is already registered by plugin 'a'" in registry.records[1].reason


def test_two_families_cannot_adapt_one_pipeline_class(load):
    """Otherwise the order of names would decide silently which one runs."""

    def family(name):
        entry = rh.FamilyEntry(name, ("SomePipeline",), lambda: None)
        return SimpleNamespace(refhooks_families=hookimpl(lambda: [entry]))

    registry = load(Point("a", family("first")), Point("b", family("second")))

    assert states(registry) == {"a": "live", "b": "broken"}
    assert "'SomePipeline' is already registered by plugin 'a'" in registry.records[1].reason


FILTERS = [
    ({"block": "b"}, {"a": "live", "b": "blocked", "c": "live"}),
    ({"block": " B , c,"}, {"a": "live", "b": "blocked", "c": "blocked"}),
    ({"block": "some-plugins"}, {"a": "blocked", "b": "blocked", "c": "live"}),
    ({"block": "SOME.Plugins"}, {"a": "blocked", "b": "blocked", "c": "live"}),
    ({"allow": "b"}, {"a": "blocked", "b": "live", "c": "blocked"}),
    ({"allow": "other"}, {"a": "blocked", "b": "blocked", "c": "live"}),
    ({"allow": "Some_plugins", "block": "a"}, {"a": "blocked", "b": "live", "c": "blocked"}),
    ({"allow": ""}, {"a": "blocked", "b": "blocked", "c": "blocked"}),
    ({"block": ""}, {"a": "live", "b": "live", "c": "live"}),
]


@pytest.mark.parametrize(("environment", "expected"), FILTERS)
def test_the_environment_filters_before_import(load, environment, expected):
    """By entry-point and by distribution name, in any spelling; a block beats an allowance."""
    points = [
        Point("a", bringing("one")),
        Point("b", bringing("two")),
        Point("c", bringing("three"), distribution="other"),
    ]

    registry = load(*points, **environment)

    assert expected == states(registry)
    assert [point.imported for point in points] == [state == "live" for state in expected.values()]


@pytest.mark.parametrize("variable", ["allow", "block"])
def test_an_unknown_name_in_the_environment_warns(load, variable):
    """The warning says which variable, which name, and what was probably meant."""
    with pytest.warns(rh.RefhooksWarning) as caught:
        load(Point("alpha", bringing("one")), **{variable: "alpha,alhpa"})

    assert len(caught) == 1
    name = {"allow": "REFHOOKS_PLUGINS", "block": "REFHOOKS_BLOCK"}[variable]
    assert f"{name} names 'alhpa'" in str(caught[0].message)
    assert "Did you mean 'alpha'?" in str(caught[0].message)


def test_blocking_the_family_is_named(load, pipe):
    """A pipeline that nothing adapts says which plugin is off, and by what."""
    load(block="qwen")

    with pytest.raises(rh.ModelError) as caught:
        rh.Editor(pipe)

    assert "QwenImageEditPlusPipeline: no plugin has an adapter for it" in str(caught.value)
    assert "Not loaded: qwen (blocked by REFHOOKS_BLOCK)" in str(caught.value)


def test_blocking_the_native_method_is_named(load, pipe):
    """An edit without a strategy says why its method is missing."""
    load(block="default")

    with pytest.raises(rh.UnknownNameError) as caught:
        rh.Editor(pipe).edit(tiny.picture(), "make it blue")

    assert "there is no method 'default'" in str(caught.value)
    assert "Not loaded: default (blocked by REFHOOKS_BLOCK)" in str(caught.value)


def test_the_order_of_installation_changes_nothing(load, pipe, edit, monkeypatch):
    """Entry points found the other way round give the same registry and the same picture."""
    references = [rh.Reference(tiny.picture(1), rh.Stage("inject", 0.5))]
    before, found = edit(references=references), loading.entry_points(group="refhooks")
    first = load()

    monkeypatch.setattr(loading, "entry_points", lambda group: sorted(found, reverse=True))
    second = load()
    checkpoint = rh.Checkpoint(output=1024, reference=1024, vision=1024)
    after = rh.Editor(pipe, checkpoint=checkpoint).edit(
        tiny.picture(), "make it blue", steps=3, seed=1, cfg=2.0, references=references
    )

    assert first.records == second.records
    assert torch.equal(before.latents, after.latents)


def test_options_make_a_method():
    """Options are the fields of the description."""
    made = rh.method("inject", where="latents", fit="contain")

    assert (made.where, made.fit) == ("latents", "contain")
    assert made == rh.method("inject", where="latents", fit="contain")


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("injct", {}, rh.UnknownNameError, ["no method 'injct'", "Did you mean 'inject'?"]),
        ("inject", {"formla": "add"}, rh.InputError, ["'formla'", "Did you mean 'formula'?"]),
        ("inject", {"formula": "mul"}, rh.InputError, ["'inject'", "'formula'", "'mul'", "'add'"]),
        ("inject", {"where": 1}, rh.InputError, ["'where'", "got 1", "'latents'"]),
        ("default", {"strength": 1}, rh.InputError, ["'default'", "no option 'strength'"]),
    ],
)
def test_an_unknown_method_or_option_is_refused(name, options, error, words):
    """The message names it, what is there, and what was probably meant."""
    with pytest.raises(error) as caught:
        rh.method(name, **options)

    for word in words:
        assert word in str(caught.value)


class Naive:
    """A schedule that takes every text for its own."""

    name: ClassVar[str] = "naive"
    short: ClassVar[str] = "a number in words"

    @classmethod
    def parse(cls, text):
        return float(text)

    def strength(self, step):
        return 1.0


@pytest.mark.parametrize("error", [ValueError, TypeError, IndexError])
def test_a_plugin_that_fails_at_a_short_form_does_not_spoil_it_for_others(load, error):
    """It is named in a warning; only where nothing else reads the text it is an error."""
    registry = load()

    def parse(cls, text):
        raise error("on purpose")

    naive = attrs.frozen(type("Naive", (Naive,), {"parse": classmethod(parse)}))
    spoilt = attrs.evolve(registry, schedules={**registry.schedules, "naive": naive})

    with pytest.warns(rh.RefhooksWarning, match="schedule 'naive' fails .*on purpose"):
        assert spoilt.schedule_from("0.4:1.0") == registry.schedule_from("0.4:1.0")
    with pytest.raises(rh.InputError, match="strength 'much': schedule 'naive': on purpose"):
        spoilt.schedule_from("much")


def test_a_distribution_without_metadata_is_no_reason_to_stop(load):
    """As what is left of one that was taken away by hand."""
    point = Point("left-over", bringing("left"))
    point.dist = SimpleNamespace(name=None, version=None)

    [record] = load(point).records

    assert (record.name, record.distribution, record.version) == ("left-over", "", "")


def test_what_ships_keeps_its_names(load):
    """Whatever is installed beside it, and however early its entry point sorts."""
    stranger, ours = Point("aa", bringing("default")), Point("zz", bringing("default"), "refhooks")
    ours.value = "refhooks_default"  # which lies beside refhooks
    registry = load(stranger, ours)

    assert states(registry) == {"zz": "live", "aa": "broken"}
    assert registry.owner("method", "default") == "zz"
    assert "method 'default' is already registered by plugin 'zz'" in registry.record("aa").reason


def test_a_name_of_something_else_is_told(load):
    """Image guidance is a method, not a run plugin."""
    load()
    with pytest.raises(rh.UnknownNameError, match=r"no plugin 'guidance'.* There is a method of"):
        rh.plugin("guidance", scale=1.5)
