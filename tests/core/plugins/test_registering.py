"""What is registered or marked in a way that needs a word: with the fix, by the pluggy there is."""

from __future__ import annotations

from types import SimpleNamespace

import pluggy
import pytest
import torch
from plugs import plugin

import refhooks as rh
from refhooks import hookimpl
from refhooks._base.pluggies import finds_outer_markers, passes_to_defaults
from refhooks._core.plugins import validation
from refhooks._core.plugins.calls import RegistrationCalls
from refhooks._core.plugins.inline import copied
from refhooks._core.plugins.loading import register_plugin
from refhooks._core.running.check_attention import check_below


class WithDefault:
    @hookimpl
    def refhooks_methods(self, nothing=None):
        return []


class Outer:
    @hookimpl
    @staticmethod
    def refhooks_methods():
        return [type(rh.method("guidance"))]


class OuterOfClass:
    @hookimpl
    @classmethod
    def refhooks_methods(cls):
        return [type(rh.method("guidance"))]


class Defaulted:
    def __init__(self):
        self.seen = []

    @hookimpl
    def refhooks_step(self, ctx, latents=None):
        self.seen.append(latents)


def installed(monkeypatch, new):
    """Let the pluggy that is installed be 1.7, or 1.6."""
    for name in ("finds_outer_markers", "passes_to_defaults"):
        monkeypatch.setattr(validation, name, lambda: new)


@pytest.mark.parametrize("made", [Outer, OuterOfClass])
def test_a_marker_above_staticmethod_is_judged_by_the_pluggy_that_is_installed(monkeypatch, made):
    """It is found by 1.7 and not by 1.6, and the refusal says so."""
    if finds_outer_markers():
        assert RegistrationCalls(made(), "plugin 'x'").methods() == Outer.refhooks_methods()

    installed(monkeypatch, new=False)
    with pytest.raises(rh.PluginError) as caught:
        RegistrationCalls(made(), "plugin 'x'")

    assert str(caught.value) == (
        "plugin 'x': refhooks_methods is marked above @staticmethod or @classmethod, where pluggy"
        f" {pluggy.__version__}, which is installed, does not look; put @refhooks.hookimpl below"
        " it, or update pluggy to 1.7"
    )


def test_a_parameter_with_a_default_is_judged_by_the_pluggy_that_is_installed(edit, monkeypatch):
    """1.7 passes the argument, 1.6 nothing, and the refusal says so."""
    if passes_to_defaults():
        watching = Defaulted()
        edit(plugins=[watching])
        assert watching.seen
        assert all(latents is not None for latents in watching.seen)
        with pytest.raises(rh.PluginError, match="the hook has no argument 'nothing'"):
            RegistrationCalls(WithDefault(), "plugin 'x'")

    installed(monkeypatch, new=False)
    with pytest.raises(rh.PluginError, match=r"'latents' has a default, and pluggy \d.*update"):
        edit(plugins=[Defaulted()])


@pytest.mark.parametrize("wrapped", [staticmethod, classmethod])
def test_a_run_hook_marked_above_is_called(edit, wrapped):
    """By a pluggy that finds it; what is accepted is not passed over."""
    if not finds_outer_markers():
        pytest.skip("pluggy 1.6 refuses it, as the test above says")
    seen = []

    if wrapped is staticmethod:

        def refhooks_step(ctx):
            seen.append(ctx.step.index)
    else:

        def refhooks_step(cls, ctx):
            seen.append(ctx.step.index)

    marked = hookimpl(wrapped(refhooks_step))
    edit(plugins=[type("Watching", (), {"refhooks_step": marked})()])

    assert seen
    assert seen == sorted(seen)


def test_what_the_installed_pluggy_does_is_what_its_version_says():
    """Asked of pluggy itself, whichever is installed."""
    marker = pluggy.HookimplMarker("probe")

    class Probe:
        @marker
        @staticmethod
        def outer():
            """Marked above."""

        @staticmethod
        @marker
        def inner(value=None):
            return value is not None

    manager, probe = pluggy.PluginManager("probe"), Probe()
    manager.register(probe)
    callers = {caller.name: caller for caller in manager.get_hookcallers(probe)}

    assert finds_outer_markers() == (manager.parse_hookimpl_opts(probe, "outer") is not None)
    assert passes_to_defaults() == (callers["inner"](value=1) == [True])


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda cls: cls, "returned the class Guidance, and not a list of classes; write [Guid"),
        (
            lambda cls: [cls()],
            "Guidance(away=False) is an instance, and a method is registered as its class",
        ),
        (lambda cls: cls(), "must return a list, such as [MyClass], got Guidance(away=False)"),
        (lambda cls: None, "returned nothing, so nothing is registered; return a list"),
        (lambda cls: {"mine": cls}, "must return a list, such as [MyClass]"),
    ],
)
def test_what_is_registered_wrongly_is_told_with_the_fix(returned, words):
    """A class without a list, an instance, nothing."""
    cls = type(rh.method("guidance"))
    wrong = SimpleNamespace(refhooks_methods=hookimpl(lambda: returned(cls)))

    with pytest.raises(rh.PluginError) as caught:
        register_plugin(wrong, "mine", copied(rh.load_registry()))

    assert str(caught.value).startswith("plugin 'mine'")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "hook", ["refhooks_families", "refhooks_models", "refhooks_commands", "refhooks_presets"]
)
def test_entries_of_another_class_are_refused(hook):
    """They are looked at when the plugin loads, and not when they are first used."""
    wrong = SimpleNamespace(**{hook: hookimpl(lambda: [rh.method("guidance")])})

    with pytest.raises(rh.PluginError, match=r"must return a list of \w+, which holds Guidance"):
        register_plugin(wrong, "mine", copied(rh.load_registry()))


def test_a_weight_below_0_is_refused_with_the_name_of_the_plugin(edit):
    """Without check="eager", and also where an accelerator is asked at the end alone."""
    negative = plugin(
        refhooks_attention=lambda layout: [rh.AttentionEdit(0, weight=torch.tensor(-0.5))]
    )

    with pytest.raises(rh.HookReturnError, match=r"of the call.*weight must be 0 \(no attention\)"):
        edit(plugins=[negative], strategy="default")


def test_weights_that_are_not_known_yet_are_looked_at_in_the_end():
    """Once; the first one is named."""
    contract = SimpleNamespace(
        below=[("a", torch.tensor(False)), ("b", torch.tensor(True)), ("c", torch.tensor(True))]
    )

    with pytest.raises(rh.HookReturnError, match=r"^b: weight must be 0"):
        check_below(contract)

    assert contract.below == []
