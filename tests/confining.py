"""What masks are tested with: halves of a picture, methods, and a look at the values of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs
import torch
from plugs import plugin

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Callable

LEFT = "0,0,50%,100%"
RIGHT = "50%,0,50%,100%"
OUTSIDE = torch.tensor([False, False, True, True] * 4)  # tokens of the right half

METHODS = {
    "default": rh.method("default"),
    "guidance": rh.method("guidance"),
    "cross_attn": rh.method("cross_attn"),
    "cross_attn keys": rh.method("cross_attn", gain="keys"),
    "cross_attn separate": rh.method("cross_attn", softmax="separate"),
    "inject add": rh.method("inject"),
    "inject add latents": rh.method("inject", where="latents"),
    "inject blend": rh.method("inject", formula="blend"),
    "inject blend latents": rh.method("inject", formula="blend", where="latents"),
    "inject pull": rh.method("inject", formula="pull"),
    "inject keep": rh.method("inject", tokens="keep"),
    "concat": rh.method("concat", tied=True),
}
TOKENS = ("default", "guidance", "cross_attn", "cross_attn keys", "cross_attn separate")


def strategy(method, *masks, strength=0.6, **options):
    """Return a strategy of one stage with masks."""
    return rh.Strategy([rh.Stage(method, strength)], masks=masks, **options)


@attrs.frozen
class Stranger:
    """A method whose bound object is made by the function given."""

    name: ClassVar[str] = "stranger"
    made: Callable[..., object]

    def bind(self, reference, run):
        return self.made(reference, run)


class Watched:
    """The values of a run before and after everything else, one entry a call of each hook."""

    def __init__(self):
        self.seen = {name: ([], []) for name in ("step", "conditioning", "velocity", "image")}
        arguments = {"step": "latents", "conditioning": "inputs", "image": "images"}
        self.plugins = []
        for last in (False, True):
            mark = rh.hookimpl(trylast=True) if last else rh.hookimpl(tryfirst=True)
            hooks = {
                f"refhooks_{name}": mark(self._note(name, arguments.get(name, name), last))
                for name in self.seen
            }
            self.plugins.append(plugin(**hooks))

    def _note(self, name, argument, last):
        into = self.seen[name][last]
        scope = {"into": into}
        exec(f"def note({argument}): into.append({argument})", scope)  # names are read by the hooks
        return scope["note"]

    def pairs(self, name):
        """Return (before, after) of each call of a hook."""
        return list(zip(*self.seen[name], strict=True))


class Weights:
    """The weights that the last processor of a model has in each forward pass, by group."""

    def __init__(self, pipe):
        self._block = pipe.transformer.transformer_blocks[-1].attn
        self.calls = []

    def __enter__(self):
        self._handle = self._block.register_forward_hook(self._note)
        return self

    def __exit__(self, *_):
        self._handle.remove()

    def _note(self, module, _args, _output):
        processor = module.processor
        edited = getattr(processor, "edited", False)
        self.calls.append({g.place: g.weight for g in processor.groups} if edited else None)
