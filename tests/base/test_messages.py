"""Messages: capped, on one line, printable, and made of any value whatever."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import refhooks as rh
from refhooks._base.shown import one_of, shown, told
from refhooks.errors import MAX_MESSAGE


class NoWords:
    def __repr__(self):
        raise RuntimeError("no words")

    __str__ = __repr__


class NoWordsError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize("cls", [rh.InputError, rh.UnknownNameError, rh.RefhooksWarning])
@pytest.mark.parametrize("text", ["x" * 200_000, "\x1b" * 200_000, "\U000e0001" * 5000])
def test_a_message_has_a_cap(cls, text):
    """Whatever a stranger's file holds; beginning and end are there."""
    message = str(cls(f"begin {text} end"))

    assert len(message) <= MAX_MESSAGE == 4000
    assert message.startswith("begin ")


@pytest.mark.parametrize("text", ["\x1b[2Jgone", "a\rb", "a\nb", "\u202eabc", "\x9b31m"])
def test_a_message_holds_no_control_characters(text):
    """A terminal would obey them."""
    assert str(rh.InputError(f"file {text}")).isprintable()


@pytest.mark.parametrize(
    "value", [NoWords(), 10**5000, [NoWords()]], ids=["object", "number", "list"]
)
def test_a_value_without_words_is_told_by_its_kind(value):
    """``repr`` may raise anything; the message is about something else."""
    assert f"a {type(value).__name__} that cannot be shown" in shown(value)
    assert "cannot be shown" in told(NoWordsError())


ODD = {
    "no words": NoWords(),
    "huge": 10**400,
    "beyond words": 10**5000,
    "array": np.zeros((3, 3)),
    "tensor": torch.ones(2, 2),
    "text array": np.array(["auto"]),
    "bytes": b"auto",
    "set": {1},
    "nan": float("nan"),
    "list of arrays": [np.ones(2)],
}
CALLS = {
    "method": rh.Stage,
    "strength": lambda value: rh.Stage("default", value),
    "until": lambda value: rh.Stage("default", until=value),
    "vision": lambda value: rh.Strategy("default", vision=value),
    "masks": lambda value: rh.Strategy("default", masks=[value]),
    "resolution": lambda value: rh.Reference("a.png", resolution=value),
    "mask kind": lambda value: rh.mask(box="1,1,2,2", kind=value),
    "mask text": lambda value: rh.mask(box="1,1,2,2", text=value),
    "feather": lambda value: rh.mask(box="1,1,2,2", feather=value),
    "box": lambda value: rh.mask(box=(0, 0, value, 5)),
    "polygon": lambda value: rh.mask(polygon=[(0, 0), (value, 0), (1, 1)]),
    "linear": lambda value: rh.schedule("linear", start=value, end=1),
    "steps": lambda value: rh.schedule("steps", values=[value]),
    "keyframes": lambda value: rh.schedule("keyframes", frames=[(0, value)]),
    "guarantee": lambda value: rh.schedule("keyframes", frames=[(0, 1, value)]),
    "window": lambda value: rh.schedule("window", value=1, start=value),
    "sigma switch": lambda value: rh.switch("sigma", below=value),
    "name of a schedule": rh.schedule,
    "name of a preset": rh.preset,
    "option": lambda value: rh.method("cross_attn", layers=value),
    "chain": lambda value: rh.Edit("x", reference=value),
    "strategy file": rh.load_strategy,
    "recipe": rh.load_recipe,
    "plan": lambda value: rh.plan("default", steps=value),
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("call", CALLS)
def test_an_odd_value_is_refused_in_words(call, value):
    """No bare error: not of its ``repr``, its truth, its hash or its size."""
    with pytest.raises(rh.RefhooksError) as caught:
        CALLS[call](value)

    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "arguments",
    [
        {"check": np.array(["final"])},
        {"denoise": np.array([1.0, 2.0])},
        {"cfg": 10**400},
        {"seed": 10**5000},
        {"prompt": NoWords()},
        {"callback": NoWords()},
        {"height": NoWords()},
        {"resolution": 10**5000},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
@pytest.mark.parametrize("image", [True, False])
def test_an_odd_argument_of_an_edit_is_refused_in_words(editor, image, arguments):
    """With a picture and from the prompt alone."""
    import tiny

    with pytest.raises(rh.InputError):
        editor.edit(tiny.picture() if image else None, **{"prompt": "x", "steps": 2, **arguments})


def test_an_array_is_none_of_some_texts():
    """Compared with a text it would answer for each of its values."""
    assert not one_of(np.array(["auto", "never"]), ("auto", "never"))
    assert one_of("auto", ("auto", "never"))
