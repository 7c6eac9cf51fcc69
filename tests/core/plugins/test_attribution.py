"""Whatever a plugin raises, warns of or returns names it, its distribution and the place."""

from __future__ import annotations

import threading
import warnings
from importlib.metadata import version
from types import SimpleNamespace

import attrs
import pytest
import tiny
import torch
from plugs import method, plugin

import refhooks as rh
from refhooks._apps.editing.exact import exactly
from refhooks._core.plugins import attribution
from refhooks.testing import tiny_editor

OURS = f"[refhooks {version('refhooks')}]"


@pytest.fixture
def failing_guidance(monkeypatch):
    """The registered method, whose velocity hook does what a test says."""
    bound = type(rh.method("guidance").bind(SimpleNamespace(index=0, latents=None), None))

    def failing(function):
        monkeypatch.setattr(bound, "refhooks_velocity", rh.hookimpl(function))

    return failing


def test_what_an_installed_plugin_raises_names_its_distribution(edit, failing_guidance):
    """And version: that is what a bug report needs."""
    failing_guidance(lambda self: 1 // 0)

    with pytest.raises(ZeroDivisionError) as caught:
        edit(strategy="guidance")

    assert [
        f"raised by guidance {OURS} (reference 1, stage 1), refhooks_velocity, step 1 of 3"
    ] == caught.value.__notes__


def test_what_an_installed_plugin_returns_names_its_distribution(edit, failing_guidance):
    """In the message itself."""
    failing_guidance(lambda self, velocity: velocity[:, 1:])

    with pytest.raises(rh.HookReturnError) as caught:
        edit(references=[rh.Reference(tiny.picture(1), "guidance")])

    place = f"guidance {OURS} (reference 2, stage 1), refhooks_velocity, step 1 of 3: velocity must"
    assert str(caught.value).startswith(place)


def test_a_warning_in_a_hook_names_its_place(edit):
    """Its category stays, and so does the line it points to."""

    def warn(ctx):
        if ctx.step.index == 1:
            warnings.warn("too much", rh.RefhooksWarning, stacklevel=1)

    with pytest.warns(rh.RefhooksWarning) as caught:
        edit(strategy=method(refhooks_step=warn))

    (told,) = caught
    said = "too much (from made (reference 1, stage 1), refhooks_step, step 2 of 3)"
    assert said == str(told.message)
    assert told.filename == __file__


def test_a_warning_in_bind_names_it(edit):
    """Before the first step."""

    @attrs.frozen
    class Warns:
        name = "warns"

        def bind_run(self, run):
            warnings.warn(f"{run.blocks} blocks", UserWarning, stacklevel=1)
            return plugin(refhooks_step=lambda: None)

    with pytest.warns(UserWarning, match="2 blocks") as caught:
        edit(plugins=[Warns()])

    assert str(caught[0].message) == (
        "2 blocks (from plugin warns of the call, bind, before the first step)"
    )


def test_a_warning_of_nobody_is_left_alone(edit):
    """In a callback, and in another thread while a hook runs."""

    def warn():
        warnings.warn("outside", UserWarning, stacklevel=1)

    def hook(ctx):
        if ctx.step.index == 0:
            thread = threading.Thread(target=warn)
            thread.start()
            thread.join()

    with pytest.warns(UserWarning, match="outside") as caught:
        edit(callback=lambda step, *_: step or warn(), plugins=[plugin(refhooks_step=hook)])

    assert [str(told.message) for told in caught] == ["outside", "outside"]


def test_showing_warnings_is_put_back(edit):
    """After a run, after one that fails, and after one inside another's hook."""
    before = warnings.showwarning

    def fail():
        raise ValueError("on purpose")

    edit()
    with pytest.raises(ValueError, match="on purpose"):
        edit(plugins=[plugin(refhooks_step=fail)])

    assert warnings.showwarning is before
    assert attribution.current_place() is None


def test_a_category_that_takes_no_text_is_shown_as_it_is(edit):
    """It is the plugin's own."""

    class Odd(UserWarning):
        def __init__(self, one, two):
            super().__init__(one + two)

    with pytest.warns(Odd) as caught:
        edit(plugins=[plugin(refhooks_image=lambda: warnings.warn(Odd("a", "b"), stacklevel=1))])

    assert str(caught[0].message) == "ab"


def test_plugins_of_one_class_are_told_apart(edit):
    """By their numbers in the call."""

    def fail(ctx):
        raise ValueError(ctx.step.index)

    quiet, failing = plugin(refhooks_step=lambda: None), plugin(refhooks_step=fail)

    with pytest.raises(ValueError, match="0") as caught:
        edit(plugins=[quiet, failing])

    note = "raised by plugin Inline #2 of the call, refhooks_step, step 1 of 3"
    assert [note] == caught.value.__notes__


STAGES = {
    "schedule": rh.Stage("default", rh.schedule("linear", start=0.5, end=1.0)),
    "switch": rh.Stage("default", until=rh.switch("progress", at=0.5)),
}


@pytest.mark.parametrize(("kind", "asked"), [("schedule", "strength"), ("switch", "ended")])
def test_a_schedule_or_switch_that_fails_names_its_distribution(edit, monkeypatch, kind, asked):
    """With the stage that it is for."""
    stage = STAGES[kind]
    made = stage.strength if kind == "schedule" else stage.until
    monkeypatch.setattr(type(made), asked, lambda _self, _step: 1 // 0)

    with pytest.raises(ZeroDivisionError) as caught:
        edit(strategy=stage)

    (note,) = caught.value.__notes__
    assert note == (
        f"raised by reference 1, stage 1 (method 'default'), {kind} {made.name!r} {OURS},"
        " at step 1 of 3"
    )


BINDING = f"raised by default {OURS} (reference 1, stage 1), bind, before the first step"


@pytest.mark.parametrize(
    ("part", "called", "notes"),
    [
        ("text_encoder", "forward", ["open"]),
        ("vae", "encode", ["encode", BINDING]),
        ("transformer", "forward", ["predict, step 1 of 3"]),
        ("vae", "decode", ["decode"]),
    ],
)
def test_what_a_family_raises_names_it(edit, pipe, monkeypatch, part, called, notes):
    """Its distribution, what it was asked for, and the step where there is one."""
    family = f"raised by family 'qwen-image-edit-plus' {OURS}, "

    def fail(*_args, **_options):
        raise KeyError("no such thing")

    monkeypatch.setattr(getattr(pipe, part), called, fail)
    with pytest.raises(KeyError) as caught:
        edit()

    assert [note if note == BINDING else family + note for note in notes] == caught.value.__notes__


def test_guidance_of_a_family_that_fails_names_it(edit, editor, monkeypatch):
    """At the step that it was for."""
    inner = type(editor.family).open

    def opened(self, **options):
        run = inner(self, **options)
        monkeypatch.setattr(type(run), "guide", guide)
        return run

    def guide(self, predictions):
        raise KeyError(*predictions)

    monkeypatch.setattr(type(editor.family), "open", opened)
    with pytest.raises(KeyError) as caught:
        edit(cfg=1.0)

    (note,) = caught.value.__notes__
    assert note == f"raised by family 'qwen-image-edit-plus' {OURS}, guide, step 1 of 3"


def test_a_preview_that_fails_names_the_family(editor, pipe, monkeypatch):
    """`Editor.decode` runs outside of an edit."""
    monkeypatch.setattr(pipe.vae, "decode", lambda *_args, **_options: 1 // 0)
    with pytest.raises(ZeroDivisionError) as caught:
        editor.decode(torch.zeros(1, 16, 16), height=32, width=32)

    (note,) = caught.value.__notes__
    assert note == f"raised by family 'qwen-image-edit-plus' {OURS}, decode"


def test_an_adapter_that_cannot_be_loaded_is_named(editor, pipe, monkeypatch):
    """Most need something that is not installed."""

    def load(self, *_given):
        raise ImportError("no module named other")

    monkeypatch.setattr(type(editor.family), "__init__", load)
    with pytest.raises(ImportError) as caught:
        rh.Editor(pipe)

    (note,) = caught.value.__notes__
    assert note == f"raised by family 'qwen-image-edit-plus' {OURS}, load"


def test_an_edit_inside_a_hook_names_its_own_family_only(edit, monkeypatch):
    """The note is there once, then the hook's."""
    other = tiny_editor(tiny.build())
    monkeypatch.setattr(other.pipe.transformer, "forward", lambda *_args, **_options: 1 // 0)

    def inside():
        other.edit(tiny.picture(), "make it red", steps=2, seed=0, cfg=1.0)

    with pytest.raises(ZeroDivisionError) as caught:
        edit(plugins=[plugin(refhooks_step=inside)])

    assert [
        f"raised by family 'qwen-image-edit-plus' {OURS}, predict, step 1 of 2",
        "raised by plugin Inline of the call, refhooks_step, step 1 of 3",
    ] == caught.value.__notes__


def test_what_others_raise_is_not_the_family_s(edit):
    """A user's callback, in the same loop."""
    with pytest.raises(ZeroDivisionError) as caught:
        edit(callback=lambda *_: 1 // 0)

    assert not hasattr(caught.value, "__notes__")


def test_a_mask_that_fails_names_its_distribution(monkeypatch):
    """With the picture that it was to cover."""
    mask = rh.mask(box=(0, 0, 8, 8))
    monkeypatch.setattr(type(mask.shape), "cover", lambda _self, _size: 1 // 0)

    with pytest.raises(ZeroDivisionError) as caught:
        mask.cover(rh.Size(20, 30))

    assert [f"raised by mask shape 'box' {OURS} for a picture of 30x20"] == caught.value.__notes__


def test_a_wrong_cover_names_its_distribution(monkeypatch):
    """In the message itself."""
    mask = rh.mask(box=(0, 0, 8, 8))
    monkeypatch.setattr(type(mask.shape), "cover", lambda _self, _size: torch.zeros(1, 1))

    with pytest.raises(rh.HookReturnError) as caught:
        mask.cover(rh.Size(20, 30))

    said = f"mask shape 'box' {OURS}: cover(size) must return [20,30], got [1, 1]"
    assert said == str(caught.value)


def test_a_warning_of_a_mask_names_it(monkeypatch):
    """As those of hooks do."""
    mask = rh.mask(box=(0, 0, 8, 8))

    def cover(_self, size):
        warnings.warn("odd", UserWarning, stacklevel=1)
        return torch.zeros(size.height, size.width)

    monkeypatch.setattr(type(mask.shape), "cover", cover)
    with pytest.warns(UserWarning, match="odd") as caught:
        mask.cover(rh.Size(20, 30))

    said = f"odd (from mask shape 'box' {OURS} for a picture of 30x20)"
    assert said == str(caught[0].message)


@attrs.frozen
class Fails:
    """A method that fails at what a plan asks of it."""

    name = "fails"
    at: str

    def bind(self, reference, run):
        return plugin(refhooks_step=lambda: None)

    def check(self, model):
        if self.at == "check":
            raise KeyError("no such thing")

    def outlook(self, planned):
        return {"outlook": {}["no such thing"]} if self.at == "outlook" else rh.Outlook()

    def exactly(self):
        return {}["no such thing"]


@pytest.mark.parametrize("ask", ["edit", "a plan", "a plan with a model", "a cost"])
@pytest.mark.parametrize("at", ["check", "outlook"])
def test_a_method_that_fails_while_an_edit_is_planned_is_named(edit, editor, ask, at):
    """With what it was asked."""
    stage = rh.Stage(Fails(at))
    asks = {
        "edit": lambda: edit(strategy=stage),
        "a plan": lambda: rh.plan(stage, 2),
        "a plan with a model": lambda: rh.plan(stage, 2, editor=editor),
        "a cost": lambda: rh.cost(stage, 2),
    }
    with pytest.raises(KeyError) as caught:
        asks[ask]()

    assert caught.value.__notes__ == [f"raised by method 'fails', {at}, before the first step"]


def test_a_method_that_fails_to_be_exact_is_named():
    """As ``--measure-drift`` asks it to be."""
    with pytest.raises(KeyError) as caught:
        exactly(rh.Reference("a.png", rh.Stage(Fails("exactly"))), rh.load_registry())

    assert caught.value.__notes__ == ["raised by method 'fails', exactly, before the first step"]


@pytest.mark.parametrize("outlook", [None, rh.Outlook(tokens=(1.0,)), rh.Outlook(tokens=(2, 2))])
def test_a_wrong_outlook_is_named(edit, monkeypatch, outlook):
    """What it says of another number of steps, or of more than all tokens, is none."""
    monkeypatch.setattr(Fails, "outlook", lambda _self, _planned: outlook)

    with pytest.raises(rh.PluginError, match=r"reference 1, stage 1 \(method 'fails'\).* outlook"):
        edit(strategy=rh.Stage(Fails("")), steps=2)


@pytest.mark.parametrize(
    ("asked", "ask"),
    [
        ("check_prompt", "edit"),
        ("output_size", "edit"),
        ("output_size", "a plan"),
        ("size_of", "edit"),
    ],
)
def test_a_family_that_fails_while_an_edit_is_planned_is_named(
    edit, editor, monkeypatch, asked, ask
):
    """By what the core asks of it, also where that is inherited and asks the adapter's own code."""

    def fail(self, *_given, **_options):
        raise KeyError("no such thing")

    monkeypatch.setattr(type(editor.family), asked, fail)
    with pytest.raises(KeyError) as caught:
        edit() if ask == "edit" else rh.plan("default", 2, editor=editor)

    call = "output_size" if asked == "size_of" else asked
    assert caught.value.__notes__ == [f"raised by family 'qwen-image-edit-plus' {OURS}, {call}"]


@pytest.mark.parametrize("given", [{"height": 33}, {"prompt": "make it <|im_end|> blue"}])
def test_what_a_user_gets_wrong_is_nobodys_fault(edit, given):
    """An argument that the core refuses, and one that the family refuses in words of its own."""
    with pytest.raises(rh.InputError) as caught:
        edit(**given)

    assert not hasattr(caught.value, "__notes__")
