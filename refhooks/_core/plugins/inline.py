"""Plugins without a package: a module, or an object with registration hooks, for one editor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from refhooks._base.shown import shown
from refhooks._core.plugins.loading import register_plugin
from refhooks._core.plugins.registry import PluginRecord, Registry
from refhooks.errors import InputError

__all__ = ["plugin_name", "with_plugins"]


def plugin_name(plugin: object) -> str:
    """Return how messages and listings name such a plugin."""
    return getattr(plugin, "__name__", type(plugin).__name__)


def with_plugins(registry: Registry, plugins: Sequence[object]) -> Registry:
    """Return a registry with more plugins; the given one stays as it is.

    Raises:
        InputError: ``plugins`` is no list.
        PluginError: One is no plugin, or registers a name that is taken.
    """
    if not isinstance(plugins, Sequence) or isinstance(plugins, str):
        raise InputError(f"plugins must be a list of modules or objects, got {shown(plugins)}")
    if not plugins:
        return registry
    extended = copied(registry)
    records = []
    for plugin in plugins:
        name = plugin_name(plugin)
        registers = register_plugin(plugin, name, extended)
        records.append(PluginRecord(name, "", "", "live", registers=registers))
    return attrs.evolve(extended, records=(*extended.records, *records))


def copied(registry: Registry) -> Registry:
    """Return a registry to which more can be added without touching this one."""
    changes: dict[str, Any] = {
        str(field.alias): dict(getattr(registry, field.name))
        for field in attrs.fields(Registry)
        if isinstance(getattr(registry, field.name), dict)
    }
    return attrs.evolve(registry, **changes)
