"""What the pluggy that is installed does where its versions differ.

From 1.7 on it passes arguments to parameters that have defaults, and finds markers above
``@staticmethod`` and ``@classmethod``; 1.6 does neither, and says nothing.
"""

from __future__ import annotations

import functools

import pluggy

__all__ = ["INSTALLED", "finds_outer_markers", "passes_to_defaults"]

INSTALLED = f"pluggy {pluggy.__version__}, which is installed,"
_marked = pluggy.HookimplMarker("refhooks_probe")


class _Probe:
    @_marked
    @staticmethod
    def outer() -> None:
        """Marked above ``@staticmethod``."""

    @staticmethod
    @_marked
    def default(value: object = None) -> bool:
        """A parameter with a default."""
        return value is not None


@functools.cache
def finds_outer_markers() -> bool:
    """Return whether an implementation is found whose marker is above ``@staticmethod``."""
    manager = pluggy.PluginManager("refhooks_probe")
    return manager.parse_hookimpl_opts(_Probe(), "outer") is not None


@functools.cache
def passes_to_defaults() -> bool:
    """Return whether a parameter with a default is passed its argument."""
    manager, probe = pluggy.PluginManager("refhooks_probe"), _Probe()
    manager.register(probe)
    callers = {caller.name: caller for caller in manager.get_hookcallers(probe) or ()}
    return callers["default"](value=1) == [True]
