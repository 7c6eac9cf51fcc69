"""Whatever is raised, wherever: it keeps its type, and what raised it is named."""

from __future__ import annotations

import contextlib

import pytest
import tiny
import torch
from plugs import Made, on_model, plugin, same

import refhooks as rh


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("not even this")

    __repr__ = __str__


class Beyond(BaseException):
    """As a library raises that wants nobody to catch it."""


KINDS = {
    "StopIteration": StopIteration("on purpose"),
    "GeneratorExit": GeneratorExit("on purpose"),
    "KeyboardInterrupt": KeyboardInterrupt("on purpose"),
    "SystemExit": SystemExit(3),
    "MemoryError": MemoryError(),
    "unprintable": UnprintableError(),
    "BaseException": Beyond("on purpose"),
    "group": ExceptionGroup("on purpose", [ValueError("a"), StopIteration("b")]),
}


@pytest.fixture(params=KINDS)
def error(request):
    """One of each kind, without the notes of another test."""
    error = KINDS[request.param]
    error.__dict__.pop("__notes__", None)
    return error


def raising(error):
    """A function that raises."""

    def fail(*_arguments, **_options):
        raise error

    return fail


def hook(name, error):
    """A plugin whose hook raises."""
    arguments = {"refhooks_step": "latents", "refhooks_image": "images"}
    scope = {"error": error}
    exec(f"def fail({arguments.get(name, 'ctx')}):\n    raise error", scope)
    return plugin(**{name: scope["fail"]})


def closing(error):
    """A method whose bound object raises when it is closed."""

    def bind(_reference, _run):
        bound = plugin(refhooks_step=lambda ctx: None)
        bound.close = raising(error)
        return bound

    return Made(bind)


class Schedule:
    name = "failing"

    def __init__(self, error):
        self.strength = raising(error)


class Switch:
    name = "failing"

    def __init__(self, error):
        self.ended = raising(error)


class Shape:
    name = "failing"

    def __init__(self, error):
        self.cover = raising(error)


def _with_hook(name):
    return lambda error: {"plugins": [hook(name, error)]}


HOOKS = ("step", "branches", "conditioning", "attention", "velocity", "image")
PLACES = {
    "bind": ("made", lambda error: {"strategy": Made(raising(error))}),
    "close": ("made", lambda error: {"strategy": closing(error)}),
    "schedule": ("failing", lambda error: {"strategy": rh.Stage("default", Schedule(error))}),
    "switch": (
        "failing",
        lambda error: {
            "strategy": rh.Strategy([rh.Stage("default", until=Switch(error)), rh.Stage("default")])
        },
    ),
    "mask": (
        "failing",
        lambda error: {"strategy": rh.Strategy("default", masks=[rh.mask(Shape(error))])},
    ),
    **{name: (f"refhooks_{name}", _with_hook(f"refhooks_{name}")) for name in HOOKS},
}


@pytest.mark.usefixtures("clean")  # the first edit of a model leaves its marks on it
@pytest.mark.parametrize("place", PLACES)
def test_what_a_plugin_raises_stays_what_it_is(edit, pipe, place, error):
    """The same object arrives, a note names the plugin, and nothing is left on the model."""
    named, arguments = PLACES[place]
    before = on_model(pipe)

    with pytest.raises(type(error)) as caught:
        edit(**arguments(error))

    assert error is caught.value
    assert named in " ".join(error.__notes__)
    assert same(before, on_model(pipe))


@pytest.mark.parametrize("part", ["vae.encode", "vae.decode", "text_encoder", "transformer"])
def test_what_a_part_of_the_model_raises_stays_what_it_is(edit, pipe, monkeypatch, part, error):
    """The family is named; a full memory is told as such."""
    name, _, method = part.partition(".")
    monkeypatch.setattr(getattr(pipe, name), method or "forward", raising(error))
    expected = rh.OutOfMemoryError if isinstance(error, MemoryError) else type(error)

    with pytest.raises(expected) as caught:
        edit()

    assert caught.value is error or caught.value.__cause__ is error
    assert "raised by family 'qwen" in " ".join(caught.value.__notes__)


def test_a_callback_may_raise_anything(edit, error):
    """It is the user's own, so nobody is named."""
    with pytest.raises(type(error)) as caught:
        edit(callback=raising(error))

    assert error is caught.value


def failing_close(message):
    """The same with a ValueError of its own."""

    def bind(_reference, _run):
        bound = plugin(refhooks_step=lambda ctx: None)
        bound.close = raising(ValueError(message))
        return bound

    return Made(bind)


def test_of_several_closes_that_fail_the_first_is_raised(edit):
    """The others are noted on it; all are closed."""
    references = [rh.Reference(tiny.picture(2), failing_close("second"))]

    with pytest.raises(ValueError, match="first") as caught:
        edit(strategy=failing_close("first"), references=references)

    assert any("then ValueError: second" in note for note in caught.value.__notes__)


def test_an_error_of_the_run_is_not_replaced_by_one_of_close(edit):
    """What went wrong first is what is told."""
    hook("refhooks_step", KeyError("in the run"))
    with pytest.raises(KeyError, match="in the run") as caught:
        edit(
            strategy=failing_close("close"), plugins=[hook("refhooks_step", KeyError("in the run"))]
        )

    assert any("then ValueError: close" in note for note in caught.value.__notes__)


def test_an_error_of_bind_is_not_replaced_by_one_of_close(edit):
    """What was bound before is closed, and what that raises is noted."""
    references = [rh.Reference(tiny.picture(2), Made(raising(KeyError("in bind"))))]

    with pytest.raises(KeyError, match="in bind") as caught:
        edit(strategy=failing_close("close"), references=references)

    assert any("then ValueError: close" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("full", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_the_reference_that_is_too_large_for_memory_is_named(edit, pipe, monkeypatch, full):
    """Its number and its size, before anything else is guessed."""
    real, sizes = pipe.image_processor.preprocess, []

    def preprocess(picture, height, width):
        sizes.append((width, height))
        if (width, height) == (64, 64):
            raise full
        return real(picture, height, width)

    monkeypatch.setattr(pipe.image_processor, "preprocess", preprocess)
    reference = rh.Reference(tiny.picture(2, (64, 64)), "default", resolution="native")

    with pytest.raises(rh.OutOfMemoryError, match=r"reference 2 does not fit .* 64x64; lower its"):
        edit(references=[reference])


def test_an_exception_that_takes_no_note_stays_what_it_is(edit):
    """A stranger's class may refuse anything."""

    class ClosedError(Exception):
        def add_note(self, text):
            raise TypeError(text)

    with contextlib.suppress(ClosedError):
        edit(plugins=[hook("refhooks_step", ClosedError())])
        pytest.fail("nothing was raised")
