"""Plugins and methods written where a test needs them, and a look at what a model has on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs
import torch

from refhooks import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable


def plugin(**hooks):
    """Return an object with these hooks, each a function of the hook's own arguments.

    A function that is marked already keeps its marks.
    """
    marked = {
        name: staticmethod(function if hasattr(function, "refhooks_impl") else hookimpl(function))
        for name, function in hooks.items()
    }
    return type("Inline", (), marked)()


@attrs.frozen
class Made:
    """A method whose ``bind(reference, run)`` is the function given."""

    name: ClassVar[str] = "made"
    bind: Callable[..., object]


def method(**hooks):
    """Return a method whose bound object has these hooks."""
    return Made(lambda _reference, _run: plugin(**hooks))


def on_model(pipe):
    """Return every object that a run could replace or leave behind on a pipeline."""
    found = [pipe.scheduler, *vars(pipe.scheduler).values()]
    for part in (pipe.transformer, pipe.vae, pipe.text_encoder):
        for module in part.modules():
            found += [module, getattr(module, "processor", None), vars(module).get("forward")]
            found += module._forward_hooks.values()
            found += module._forward_pre_hooks.values()
            found += module._parameters.values()
    return found


def same(before, after):
    """Return whether two lists hold the same objects."""
    return len(before) == len(after) and all(
        old is new for old, new in zip(before, after, strict=True)
    )


class Watch:
    """Tensors as they were when they were first seen."""

    def __init__(self):
        self.seen = []

    def add(self, *tensors):
        """Remember tensors with a copy of each."""
        self.seen += [(tensor, tensor.clone()) for tensor in tensors]

    def unchanged(self):
        """Return whether nothing was written into any of them since."""
        return all(torch.equal(tensor, copy) for tensor, copy in self.seen)
