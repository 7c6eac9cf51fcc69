"""What the pluggy that is installed does where its versions differ.

From 1.7 on it passes arguments to parameters that have defaults, and finds markers above
``@staticmethod`` and ``@classmethod``; 1.6 does neither, and says nothing.
"""

from __future__ import annotations

import inspect
from types import FunctionType, MethodType
from typing import Any

import pluggy

__all__ = [
    "INSTALLED", "arguments_of", "finds_outer_markers", "passes_to_defaults", "with_marker",
]  # fmt: skip

INSTALLED = f"pluggy {pluggy.__version__}, which is installed,"
_NEW = tuple(int(part) for part in pluggy.__version__.split(".")[:2]) >= (1, 7)


def finds_outer_markers() -> bool:
    """Return whether an implementation is found whose marker is above ``@staticmethod``."""
    return _NEW


def passes_to_defaults() -> bool:
    """Return whether a parameter with a default is passed its argument."""
    return _NEW


def arguments_of(implementation: Any) -> tuple[str, ...]:
    """Return the names of what the pluggy that is installed passes to an implementation."""
    defaults = tuple(implementation.kwargnames) if passes_to_defaults() else ()
    return (*implementation.argnames, *defaults)


def with_marker(plugin: object, name: str, marker: str) -> Any:
    """Return a member of a plugin that carries its marker.

    One above ``@staticmethod`` or ``@classmethod`` is on what wraps the function, and not on what
    the object gives for the name: a copy of the function carries it then.

    Args:
        plugin: Any object.
        name: Of the member.
        marker: The attribute that pluggy's marker sets.
    """
    member = getattr(plugin, name)
    mark = getattr(inspect.getattr_static(plugin, name, None), marker, None)
    function = getattr(member, "__func__", member)
    if mark is None or hasattr(member, marker) or not isinstance(function, FunctionType):
        return member
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        function.__closure__,
    )  # fmt: skip
    copy.__dict__.update(function.__dict__, **{marker: mark})
    return MethodType(copy, member.__self__) if inspect.ismethod(member) else copy
