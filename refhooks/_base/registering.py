"""Checks of what registration hooks return: a list, of classes or entries; where one went wrong."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from refhooks._base.shown import shown
from refhooks.errors import PluginError, RefhooksError

__all__ = ["as_classes", "as_entries", "as_kind", "line_of", "what_to_write"]

HOOKS = {
    "method": "refhooks_methods",
    "schedule": "refhooks_schedules",
    "switch": "refhooks_switches",
    "mask shape": "refhooks_masks",
    "run plugin": "refhooks_plugins",
}
HINTS = {
    "method": "bind(reference, run)",
    "schedule": "strength(step)",
    "switch": "ended(step)",
    "mask shape": "cover(size)",
    "run plugin": "bind_run(run)",
}


def what_to_write(plugin: Any) -> str:
    """Return how a class, or an instance of one, is registered that was taken for a plugin."""
    cls = plugin if isinstance(plugin, type) else type(plugin)
    for kind, call in HINTS.items():
        if isinstance(getattr(cls, "name", None), str) and hasattr(cls, call.partition("(")[0]):
            return (
                f"; {cls.__name__} looks like a {kind}, which is registered by a plugin's function"
                f" {HOOKS[kind]}, marked with @refhooks.hookimpl, that returns [{cls.__name__}]"
            )
    return ""


def as_entries(returned: Any, label: str) -> list[Any]:
    """Return what a registration hook returned as a list.

    Args:
        returned: By the hook; ``None`` is what a function without ``return`` gives.
        label: Names the plugin and the hook.

    Raises:
        PluginError: It is no list; the message says what to write.
    """
    if returned is None:
        raise PluginError(
            f"{label} returned nothing, so nothing is registered; return a list, as [MyClass], or"
            " [] if there is nothing to register"
        )
    if isinstance(returned, type):
        raise PluginError(
            f"{label} returned the class {returned.__name__}, and not a list of classes; write"
            f" [{returned.__name__}]"
        )
    if isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable):
        raise PluginError(f"{label} must return a list, such as [MyClass], got {shown(returned)}")
    return list(returned)


def as_classes(entries: list[Any], kind: str, label: str) -> list[type[Any]]:
    """Return entries that are classes of a kind.

    Raises:
        PluginError: One is an instance, or lacks what every class of its kind has.
    """
    call = HINTS[kind]
    for cls in entries:
        named = isinstance(getattr(cls, "name", None), str)
        able = named and hasattr(cls, call.partition("(")[0])
        if able and not isinstance(cls, type):
            raise PluginError(
                f"{label}: {shown(cls)} is an instance, and a {kind} is registered as its class,"
                f" which is made anew from its options; write [{type(cls).__name__}]"
            )
        if not able:
            raise PluginError(f"{label}: {shown(cls)} is not a {kind}: it needs a name and {call}")
    return entries


def as_kind(entries: list[Any], expected: type[Any], label: str) -> list[Any]:
    """Return entries that are all of one class, such as ``CommandEntry``.

    Raises:
        PluginError: One is of another.
    """
    for entry in entries:
        if not isinstance(entry, expected):
            raise PluginError(
                f"{label} must return a list of {expected.__name__}, which holds {shown(entry)}"
            )
    return entries


def line_of(error: BaseException, loader: str) -> str:
    """Return where in a plugin's code it was raised; nothing where the message says it already.

    Args:
        error: What loading a plugin raised.
        loader: File of the code that loads plugins, which is never the place.
    """
    if isinstance(error, RefhooksError | SyntaxError):
        return ""
    frames = [
        (Path(frame.filename).name, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != loader and "importlib" not in frame.filename
    ]
    return f" ({frames[-1][0]}, line {frames[-1][1]})" if frames else ""
