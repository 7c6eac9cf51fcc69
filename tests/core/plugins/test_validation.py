"""Plugin objects are validated strictly before the first step, and called in one order."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import attrs
import pytest
import tiny
import torch
from plugs import Made, method, plugin

import refhooks as rh
from refhooks import hookimpl
from refhooks._core.plugins.calls import RegistrationCalls


def keyword_only(*, ctx):
    """A hook with a keyword-only argument."""
    raise AssertionError(ctx)


class Wrapper:
    @hookimpl(wrapper=True)
    def refhooks_step(self, ctx):
        return (yield)


class OldWrapper:
    @hookimpl(hookwrapper=True)
    def refhooks_step(self, ctx):
        yield


class Renamed:
    @hookimpl(specname="refhooks_velocity")
    def refhooks_step(self, ctx):
        raise AssertionError(ctx)


class Unmarked:
    def refhooks_step(self, ctx):
        raise AssertionError(ctx)


class MarkedHelper:
    @hookimpl
    def on_step(self, ctx):
        raise AssertionError(ctx)


INVALID = {
    "unknown": (plugin(refhooks_stpe=lambda: None),
                ["no hook refhooks_stpe", "Did you mean 'refhooks_step'?"]),
    "marked helper": (MarkedHelper(), ["no hook on_step"]),
    "unmarked": (Unmarked(), ["refhooks_step is not marked", "@refhooks.hookimpl"]),
    "keyword-only": (plugin(refhooks_step=keyword_only), ["'ctx' must be a plain positional"]),
    "*args": (plugin(refhooks_step=lambda *args: args), ["'*args' must be a plain positional"]),
    "**kwargs": (plugin(refhooks_step=lambda **kwargs: kwargs), ["'**kwargs' must be a plain"]),
    "unknown argument": (plugin(refhooks_step=lambda latent: latent),
                         ["no argument 'latent'", "Did you mean 'latents'?", "ctx, latents"]),
    "wrapper": (Wrapper(), ["refhooks_step is a wrapper", "tryfirst or trylast"]),
    "specname": (Renamed(), ["refhooks_step has a specname", "after its hook"]),
    "old wrapper": (OldWrapper(), ["refhooks_step is a wrapper"]),
    "registration hook": (plugin(refhooks_methods=lambda: ("no", "methods")),
                          ["refhooks_methods is a registration hook, not a run hook"]),
    "no hook": (SimpleNamespace(), ["no run hook, so it would do nothing"]),
    "name": ("guidance", ["str has no run hook"]),
    "description": (rh.method("guidance"),
                    ["Guidance has no run hook", "looks like a method", "returns [Guidance]"]),
    "description's class": (type(rh.method("guidance")),
                            ["Guidance is a class; Guidance looks like a method"]),
    "class": (Wrapper, ["Wrapper is a class; give an object"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", INVALID)
@pytest.mark.parametrize("given", ["plugin", "method"])
def test_an_invalid_object_is_refused_before_the_first_step(edit, never_called, kind, given):
    """As a plugin of the call, and as what a method's bind() returns."""
    invalid, words = INVALID[kind]
    arguments = (
        {"plugins": [invalid]} if given == "plugin" else {"strategy": Made(lambda *_: invalid)}
    )

    with pytest.raises(rh.PluginError) as caught, never_called():
        edit(**arguments)

    for word in words:
        assert word in str(caught.value)
    label = " of the call: " if given == "plugin" else "made (reference 1, stage 1): "
    assert label in str(caught.value)


def test_a_run_hook_in_a_plugin_module_is_refused():
    """The reverse mistake: a hook of the loop at module level."""
    with pytest.raises(rh.PluginError, match="refhooks_step is a run hook, not a registration"):
        RegistrationCalls(SimpleNamespace(refhooks_step=hookimpl(lambda ctx: ctx)), "plugin 'x'")


def test_bind_must_return_a_new_object(edit, never_called):
    """One object cannot stand for two references."""
    one = plugin(refhooks_step=lambda latents: latents)
    shared = Made(lambda *_: one)

    with pytest.raises(rh.PluginError, match="registered already") as caught, never_called():
        edit(strategy=shared, references=[rh.Reference(tiny.picture(1), shared)])

    assert str(caught.value).startswith("made (reference 2, stage 1)")


def test_equal_descriptions_never_meet(edit):
    """Two references steered by one and the same description bind to objects of their own."""
    shared = rh.method("inject")

    result = edit(strategy=shared, references=[rh.Reference(tiny.picture(1), shared)])

    assert torch.isfinite(result.latents).all()


def test_a_hook_takes_any_of_the_arguments_in_any_order(edit):
    """An implementation names what it needs, and no more."""
    seen = []

    edit(
        plugins=[
            plugin(refhooks_step=lambda: seen.append("none")),
            plugin(refhooks_step=lambda latents, ctx: seen.append((ctx.step.index, latents.ndim))),
        ],
        steps=2,
    )

    assert seen == ["none", (0, 3), "none", (1, 3)]


def test_the_chain_has_one_order(edit):
    """Tryfirst, references in the order of the call, plugins in theirs, trylast."""
    order = []

    def note(name, **options):
        mark = hookimpl(**options)
        return {"refhooks_step": mark(lambda: order.append(name))}

    def steering(name, **options):
        return rh.Stage(Made(lambda *_: plugin(**note(name, **options))), 0.5)

    edit(
        strategy=steering("reference 1"),
        references=[
            rh.Reference(tiny.picture(1), steering("reference 2, first", tryfirst=True)),
            rh.Reference(tiny.picture(2), steering("reference 3")),
        ],
        plugins=[
            plugin(**note("plugin 1, last", trylast=True)),
            plugin(**note("plugin 2")),
            plugin(**note("plugin 3, first", tryfirst=True)),
            plugin(**note("plugin 4")),
        ],
        steps=2,
    )

    once = [
        "reference 2, first", "plugin 3, first",
        "reference 1", "reference 3", "plugin 2", "plugin 4",
        "plugin 1, last",
    ]  # fmt: skip
    assert once * 2 == order


def test_each_implementation_receives_what_the_one_before_returned(edit):
    """None leaves the value; the last value is what the step works with."""
    seen = []

    def doubled(latents):
        seen.append(latents)
        return latents * 2

    def looked_at(latents):
        seen.append(latents)

    edit(
        plugins=[
            plugin(refhooks_step=doubled),
            plugin(refhooks_step=looked_at),
            plugin(refhooks_step=doubled),
        ],
        callback=lambda _step, latents, _x0: seen.append(latents),
        steps=2,
    )

    first, second, third, stepped = seen[:4]
    assert torch.equal(first * 2, second)
    assert second is third
    assert torch.equal(third * 2, stepped)


def test_a_method_is_called_only_where_its_stage_has_strength(edit):
    """Not outside its stage, and not at steps where the strength is 0."""
    called = []
    stages = [
        rh.Stage(method(refhooks_step=lambda ctx: called.append(("first", ctx.step.index))),
                 [1.0, 0.0], until=0.5),
        rh.Stage(method(refhooks_step=lambda ctx: called.append(("second", ctx.step.index))),
                 [0.0, 0.5]),
    ]  # fmt: skip

    edit(strategy=rh.Strategy(stages), steps=4)

    assert called == [("first", 0), ("second", 3)]


def test_bind_is_told_the_run_and_the_reference(edit):
    """Everything that a method may need before the first step, with the shapes promised."""
    told = []

    def bind(reference, run):
        told.append((reference, run, reference.latents, reference.fitted("stretch")))
        return plugin(refhooks_step=lambda: None)

    second = rh.Reference(tiny.picture(1, (64, 32)), rh.Stage(Made(bind), [1.0, 0.5, 0.0]),
                          resolution="native")  # fmt: skip
    edit(strategy="inject", references=[second])

    reference, run, latents, fitted = told[0]
    assert (
        reference.index, reference.stage, reference.grid, reference.strengths,
    ) == (1, 0, (4, 8), (1.0, 0.5, 0.0))  # fmt: skip
    assert (run.family, run.blocks, run.grid) == ("qwen-image-edit-plus", 2, (4, 4))
    assert [[entry.name for entry in stages] for stages in run.methods] == [["inject"], ["made"]]
    assert (run.sigmas[0], len(run.sigmas)) == (1.0, 3)
    assert (
        tuple(latents.shape), tuple(fitted.shape), tuple(run.noise.shape),
    ) == ((1, 32, 16), (1, 16, 16), (1, 16, 16))  # fmt: skip
    assert reference.latents is latents
    with pytest.raises(rh.InputError, match="fit must be one of cover, contain, stretch"):
        reference.fitted("crop")


def test_bound_objects_may_be_equal(edit):
    """Two references with one method each bind to objects that compare equal, and none is lost."""
    calls = []

    @attrs.define
    class Bound:
        index: int = 0

        @rh.hookimpl
        def refhooks_step(self):
            calls.append(id(self))

    made = Made(lambda _reference, _run: Bound())
    edit(strategy=made, references=[rh.Reference(tiny.picture(1), made)])

    assert len(set(calls)) == 2


def test_nothing_of_a_run_outlives_it(edit):
    """What bind() returned is free at once, not when the collector comes round."""
    kept = []

    class Bound:
        @rh.hookimpl
        def refhooks_step(self):
            pass

    def bind(_reference, _run):
        bound = Bound()
        kept.append(weakref.ref(bound))
        return bound

    gc.disable()
    try:
        edit(strategy=Made(bind))
        assert kept[0]() is None
    finally:
        gc.enable()


def test_one_object_given_twice_is_refused(edit):
    """The message says what to do."""
    step = plugin(refhooks_step=lambda: None)
    with pytest.raises(rh.PluginError, match=r"registered already, .*; give it once"):
        edit(plugins=[step, step])


def test_a_property_that_raises_is_left_alone(edit):
    """Only hooks are looked at."""

    class Odd:
        @property
        def broken(self):
            raise RuntimeError("never")

        @rh.hookimpl
        def refhooks_step(self):
            pass

    edit(plugins=[Odd()])


def test_predictions_cannot_be_changed_in_place(edit):
    """What the next plugin and the guidance see is what the model said."""

    def changes(predictions):
        predictions["cond"] = predictions["cond"] * 2

    with pytest.raises(TypeError) as caught:
        edit(plugins=[plugin(refhooks_velocity=changes)])

    place = "raised by plugin Inline of the call, refhooks_velocity, step 1 of 3"
    assert caught.value.__notes__ == [place]
