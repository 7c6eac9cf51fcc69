"""How messages name the plugins and methods of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from refhooks._core.contract.methods import RunPlugin
from refhooks._core.plugins.attribution import naming

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence

    from refhooks._core.contract.methods import Method
    from refhooks._core.plugins.registry import Registry


def naming_method(
    method: Method, call: str, registry: Registry
) -> contextlib.AbstractContextManager[None]:
    """Name a method that is asked something before the first step."""
    origin = registry.origin("method", method)
    return naming(f"method {method.name!r}{origin}, {call}, before the first step")


def plugin_labels(plugins: Sequence[object], registry: Registry) -> tuple[str, ...]:
    """Return how messages name the plugins of a call; those of one name are numbered."""
    names = [plugin.name if is_description(plugin) else type(plugin).__name__ for plugin in plugins]
    counts = [
        f" #{names[:place].count(name) + 1}" if names.count(name) > 1 else ""
        for place, name in enumerate(names)
    ]
    return tuple(
        f"plugin {name}{count}{registry.origin('plugin', plugin)} of the call"
        for name, count, plugin in zip(names, counts, plugins, strict=True)
    )


def heading(label: str) -> str:
    """Return the short form of such a label, for tables: without where the plugin is from."""
    return label.removesuffix(" of the call").partition(" [")[0]


def is_description(plugin: object) -> TypeGuard[RunPlugin]:
    """Return whether a plugin of a call is bound when the run starts, and has no hooks itself."""
    return isinstance(plugin, RunPlugin) and not isinstance(plugin, type)
