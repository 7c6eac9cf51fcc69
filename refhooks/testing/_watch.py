"""Looking at what a plugin does: to tensors, to the model, to the process."""

from __future__ import annotations

import functools
import inspect
import os
import random
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch

from refhooks._core.plugins.validation import hook_arguments
from refhooks.hookspecs import RunHooks
from refhooks.testing._report import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from refhooks.testing._subject import Subject

HOOKS = tuple(hook_arguments(RunHooks))
MARK = "refhooks_impl"


class Spy:
    """Sees every call of a plugin's hooks; does nothing by itself."""

    def bound(self, arguments: Sequence[Any]) -> None:
        """See what ``bind`` was given."""

    def before(self, hook: str, arguments: Mapping[str, Any]) -> None:
        """See what a hook is given."""

    def after(self, hook: str, arguments: Mapping[str, Any], returned: Any) -> None:
        """See what it was given, as it is afterwards, and what it returned."""


def spied(subject: Subject, spy: Spy) -> Any:
    """Return the subject, made, whose hooks a spy sees; still an instance of its class."""
    entry = "bind" if subject.kind == "method" else "bind_run"
    original = getattr(subject.registered, entry)

    def bind(self: Any, *arguments: Any) -> _Observed:
        spy.bound(arguments)
        return _Observed(original(self, *arguments), spy)

    cls = type(subject.registered.__name__, (subject.registered,), {entry: bind, "__slots__": ()})
    return subject.made(cls)


class _Observed:
    """A bound object's hooks, each of which a spy sees."""

    def __init__(self, bound: Any, spy: Spy) -> None:
        for hook in HOOKS:
            function = getattr(bound, hook, None)
            if function is not None:
                setattr(self, hook, _observed(hook, function, spy))


def _observed(hook: str, function: Callable[..., Any], spy: Spy) -> Callable[..., Any]:
    names = tuple(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*values: Any) -> Any:
        arguments = dict(zip(names, values, strict=True))
        spy.before(hook, arguments)
        returned = function(*values)
        spy.after(hook, arguments, returned)
        return returned

    setattr(call, MARK, getattr(function, MARK, None))
    return call


class Untouched(Spy):
    """Proves that nothing a plugin is given changes, while or after it has it."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[str, Tensor, Tensor]] = {}

    def bound(self, arguments: Sequence[Any]) -> None:
        """Remember the noise, and the reference's latents in both forms."""
        run = arguments[-1]
        self._add("run.noise", run.noise)
        if len(arguments) == 2:
            self._add("reference.latents", arguments[0].latents)
            self._add("reference.fitted()", arguments[0].fitted())

    def before(self, hook: str, arguments: Mapping[str, Any]) -> None:
        """Remember every tensor."""
        for name, value in arguments.items():
            self._add(f"{hook}'s {name}", value)

    def after(self, hook: str, arguments: Mapping[str, Any], returned: Any) -> None:
        """Compare everything that was ever seen."""
        del arguments, returned
        for name, tensor, copy in self._seen.values():
            if not same(tensor, copy):
                raise CheckFailed(f"{hook} changes {name} in place; make a new tensor instead")

    def _add(self, name: str, value: Any) -> None:
        for place, tensor in tensors(value, name):
            if id(tensor) not in self._seen:
                self._seen[id(tensor)] = (place, tensor, tensor.clone())


def tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor in a value that crosses a hook, with where it is."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from tensors(entry, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for place, entry in enumerate(value):
            yield from tensors(entry, f"{name}[{place}]")
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from tensors(getattr(value, field.name), f"{name}.{field.name}")


def same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal to the bit, NaN included."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if torch.equal(one, other):
        return True
    return bool(torch.isnan(one).any()) and torch.equal(one.nan_to_num(), other.nan_to_num())


def on_model(pipe: Any) -> list[tuple[str, Any]]:
    """Return every object that a run could replace or leave behind on a pipeline, with its name."""
    objects = [("the scheduler", pipe.scheduler)]
    objects += [(f"the scheduler's {name}", value) for name, value in vars(pipe.scheduler).items()]
    parts = {
        part: component
        for part, component in pipe.components.items()
        if isinstance(component, torch.nn.Module)
    }
    for part, whole in parts.items():
        for name, module in whole.named_modules():
            where = f"{part}.{name}" if name else part
            objects += [(where, module), (f"{where}.processor", getattr(module, "processor", None))]
            objects += [(f"{where}.forward", vars(module).get("forward"))]
            hooks = (module._forward_hooks, module._forward_pre_hooks)  # noqa: SLF001  no public way
            objects += [
                (f"a hook on {where}", hook) for registered in hooks for hook in registered.values()
            ]
            parameters = module._parameters.items()  # noqa: SLF001  also those that are None
            objects += [(f"{where}.{name}", value) for name, value in parameters]
            objects += [(f"{where}.{name}", _version(value)) for name, value in parameters]
    return objects


def _version(parameter: Tensor | None) -> int | None:
    """What in-place operations count up."""
    return None if parameter is None or parameter.is_inference() else parameter._version  # noqa: SLF001


def check_same_model(before: list[tuple[str, Any]], after: list[tuple[str, Any]]) -> None:
    """Compare two looks at a model.

    Raises:
        CheckFailed: Something was left on it, taken off it or changed.
    """
    for (name, old), (other, new) in zip(before, after, strict=False):
        unchanged = old == new if isinstance(old, int) else old is new
        if name != other or not unchanged:
            raise CheckFailed(f"the model is not as it was: {other if name != other else name}")
    if len(before) != len(after):
        raise CheckFailed(f"the model is not as it was: {(after or before)[-1][0]}")


def process_state() -> dict[str, Any]:
    """Return what of the process belongs to everybody, by how messages name it."""
    return {
        "torch's global random numbers": torch.get_rng_state().numpy().tobytes(),
        "Python's global random numbers": random.getstate(),
        "numpy's global random numbers": _numpy_state(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch's matmul precision": _matmul_precision(),
        "the environment": dict(os.environ),
        "the working folder": os.getcwd(),  # noqa: PTH109  compared as it is
        "sys.path": list(sys.path),
        "the filters of warnings": list(warnings.filters),
    }


def seed_everything(number: int) -> None:
    """Set every global random number generator."""
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002  a plugin may have drawn from it


def _matmul_precision() -> str:
    """Torch 2.9 warns who asks for it, once a process, of how it will be set one day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.get_float32_matmul_precision()


def _numpy_state() -> Any:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002  what a plugin may have used
    return name, np.asarray(keys).tobytes(), *rest


def check_same_state(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Compare two looks at the process.

    Raises:
        CheckFailed: Something was changed.
    """
    for name, value in before.items():
        if after[name] != value:
            raise CheckFailed(f"it changes {name}, which other code uses too")
