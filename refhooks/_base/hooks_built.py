"""Which hooks the object has that a plugin's ``bind`` will return, read from what its code names.

Nothing is called: what ``bind`` needs is not there yet when an edit is planned.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["builds"]

_PREFIX = "refhooks_"
_MOST = 200  # functions that are looked through
_DEEPEST = 8  # decorators


def builds(bind: Any, hook: str) -> bool | None:
    """Return whether what a bound method returns may implement a hook.

    Looked at are the classes that its code, its annotation and the functions of the same package
    name that it calls; one of several that implements the hook is enough.

    Args:
        bind: ``bind`` of a method, or ``bind_run`` of a run plugin.
        hook: Its name, such as ``refhooks_attention``.

    Returns:
        ``None``: no class with any hook was found there, so it cannot be told.
    """
    hooks: set[str] = set()
    seen: set[FunctionType] = set()
    owner, waiting = getattr(bind, "__self__", None), [bind]
    while waiting and len(seen) < _MOST:
        function = _plain(waiting.pop())
        if not _is_of(function, bind) or function in seen:
            continue
        seen.add(function)
        for named in _named(function, owner):
            if isinstance(named, str):
                hooks.add(named)
            elif isinstance(named, type):
                has = (name for base in named.__mro__ for name in vars(base))
                hooks.update(name for name in has if name.startswith(_PREFIX))
            else:
                waiting.append(named)
    return hook in hooks if hooks else None


def _plain(function: Any) -> Any:
    """The function below decorators, ``functools.partial`` and a binding."""
    for _ in range(_DEEPEST):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType | classmethod | staticmethod):
            function = function.__func__
        elif isinstance(function, FunctionType) and "__wrapped__" in vars(function):
            function = vars(function)["__wrapped__"]
    return function


def _is_of(function: Any, bind: Any) -> bool:
    """Whether a function can be looked into, and is of the plugin's own package."""
    module, own = (str(getattr(it, "__module__", "")) for it in (function, bind))
    return isinstance(function, FunctionType) and module.split(".")[0] == own.split(".")[0]


def _named(function: FunctionType, owner: Any) -> Iterator[Any]:
    """What a function's code names: hooks as texts, classes, functions."""
    names = set(_names(function.__code__))
    yield from (name for name in names if name.startswith(_PREFIX))
    places = [function.__globals__, _closure(function)]
    places += [vars(it) for it in (owner, *type(owner).__mro__) if hasattr(it, "__dict__")]
    values = [place[name] for place in places for name in names if name in place]
    modules = [vars(value) for value in values if isinstance(value, ModuleType)]
    values += [module[name] for module in modules for name in names if name in module]
    returned = None
    with contextlib.suppress(NameError):  # from Python 3.14 on, of what is imported for types alone
        returned = function.__annotations__.get("return")
    if isinstance(returned, str):
        returned = function.__globals__.get(returned)
    for value in (*values, returned):
        below = _plain(value)
        if isinstance(below, type | FunctionType):
            yield below


def _names(code: CodeType) -> Iterator[str]:
    """The names of a function's code, and of the classes and functions inside of it."""
    yield from (*code.co_names, *code.co_freevars)
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _names(constant)


def _closure(function: FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    values = {}
    for name, cell in cells:
        try:
            values[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return values
