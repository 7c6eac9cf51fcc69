"""What an edit may not leave changed: of a pipeline, of the process, and in memory."""

from __future__ import annotations

import gc
import os
import random
import threading
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["State", "tensors_alive"]


class State:
    """What an edit may not leave changed, of a pipeline and of the process.

    Everything found is kept, so that an object's number stands for it alone.
    """

    def __init__(self, pipe: Any) -> None:
        self._found = dict(_found(pipe))
        self._threads = set(threading.enumerate())

    def changes(self, pipe: Any) -> list[str]:
        """Return the names of what is no longer the same."""
        now = dict(_found(pipe))
        names = [*self._found, *(name for name in now if name not in self._found)]
        changed = [name for name in names if not _same(self._found.get(name), now.get(name))]
        begun = set(threading.enumerate()) - self._threads  # what ends meanwhile is nobody's
        return [*changed, *(f"thread {thread.name}" for thread in begun)]


def _found(pipe: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(pipe).items():
        yield f"pipe.{name}", value
    for name, part in pipe.components.items():
        if isinstance(part, torch.nn.Module):
            for path, module in part.named_modules(prefix=name):
                for key, value in vars(module).items():
                    yield f"{path}.{key}", _flat(value)
            for path, tensor in (*part.named_parameters(name), *part.named_buffers(name)):
                yield f"{path}: value", (tensor._version, tensor.requires_grad)
        else:
            for key, value in getattr(part, "__dict__", {}).items():
                yield f"{name}.{key}", _flat(value)
    yield "warnings.filters", _flat(list(warnings.filters))
    yield "warnings.showwarning", warnings.showwarning
    yield "gradients", (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    yield "random numbers", (torch.get_rng_state().numpy().tobytes(), random.getstate())
    yield "numpy's random numbers", repr(np.random.get_state())  # noqa: NPY002  the global one
    yield "torch's threads", torch.get_num_threads()
    yield "working folder", os.getcwd()  # noqa: PTH109  a string


def _flat(value: Any) -> Any:
    """What a container holds, by its places: it may be changed in place."""
    if isinstance(value, Mapping):
        return tuple((key, *_flat_pair(entry)) for key, entry in value.items())
    return tuple(value) if isinstance(value, list | set) else value


def _flat_pair(entry: Any) -> tuple[Any, ...]:
    return (entry, _flat(entry)) if isinstance(entry, Mapping | list) else (entry,)


def _same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    if type(before) is not type(now):
        return False
    if isinstance(before, tuple):
        return len(before) == len(now) and all(map(_same, before, now))
    if isinstance(before, torch.Tensor):  # no parameter: what a module computed, as in stock
        return not isinstance(before, torch.nn.Parameter) and torch.equal(before, now)
    return isinstance(before, str | bytes | int | float | bool) and before == now


def tensors_alive() -> int:
    """Return how many tensors there are that were not there when the process was frozen."""
    gc.collect()
    return sum(isinstance(it, torch.Tensor) for it in gc.get_objects())
