"""Finding, filtering and loading plugins, and why one is missing."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from refhooks._base.distributions import entry_points, name_of, ships, version_of
from refhooks._base.registering import as_classes, as_kind, line_of
from refhooks._base.shown import told
from refhooks._core.contract.entries import CommandEntry, EmbeddedModel, FamilyEntry
from refhooks._core.plugins.calls import RegistrationCalls
from refhooks._core.plugins.records import (
    ALLOW,
    BLOCK,
    PluginRecord,
    refused,
    split,
    warn_of_unknown,
)
from refhooks._core.plugins.registry import Registry
from refhooks.errors import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.metadata import EntryPoint

    from refhooks._base.distributions import Unreadable


GROUP = "refhooks"
OWN_COMMANDS: Final = (
    "batch", "chain", "check", "demo", "edit", "explain", "grid", "hooks", "methods", "new", "plan",
    "plugins", "presets", "recipe", "replay", "score",
)  # fmt: skip
"""Commands of refhooks itself; no plugin can have one of their names."""


def load_registry() -> Registry:
    """Return the registry for the current environment, loaded once for each setting of it.

    ``REFHOOKS_PLUGINS`` (only these) and ``REFHOOKS_BLOCK`` (not these) hold names separated by
    commas, of entry points or distributions; they act before anything is imported.
    """
    return _load(os.environ.get(ALLOW), os.environ.get(BLOCK))


@functools.cache
def _load(allow: str | None, block: str | None) -> Registry:
    points = sorted(entry_points(group=GROUP), key=_order)
    allowed, blocked = split(allow), split(block)
    warn_of_unknown(points, {ALLOW: allowed, BLOCK: blocked})
    owners = {("command", name): GROUP for name in OWN_COMMANDS}
    registry = Registry(records=(), methods={}, families={}, models={}, owners=owners)
    records = _load_all(points, registry, lambda it: refused(it, allow, allowed, blocked))
    return attrs.evolve(registry, records=tuple(records))


def _order(point: EntryPoint | Unreadable) -> tuple[bool, str, str]:
    """Those that ship come first: what is installed beside them takes no name away from them."""
    return not ships(point), point.name, point.value


def _load_all(
    points: Sequence[EntryPoint | Unreadable],
    registry: Registry,
    why_not: Callable[[EntryPoint | Unreadable], str],
) -> Iterator[PluginRecord]:
    names: dict[str, str] = {}
    for point in points:
        record = _load_one(point, registry, why_not(point), names.get(point.name))
        if record.state == "live":
            names[point.name] = record.origin or "no distribution"
        yield record


def _load_one(
    point: EntryPoint | Unreadable, registry: Registry, why_not: str, taken: str | None
) -> PluginRecord:
    record = PluginRecord(
        name=point.name,
        distribution=name_of(point),
        version=version_of(point),
        state="blocked" if why_not else "live",
        reason=why_not,
    )
    if why_not:
        return record
    if taken is not None:
        reason = f"there is a plugin of that name already, from {taken}"
        return attrs.evolve(record, state="broken", reason=reason)
    try:
        registers = register_plugin(point.load(), point.name, registry)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  the others live
        reason = readable(f"{type(error).__name__}: {told(error)}{line_of(error, __file__)}")
        return attrs.evolve(record, state="broken", reason=reason)
    return attrs.evolve(record, registers=registers)


def register_plugin(plugin: object, name: str, registry: Registry) -> tuple[str, ...]:
    """Register what a plugin brings, under its name, and return what that is.

    Raises:
        PluginError: It is no plugin, or a name is taken; nothing is registered then.
    """
    label = f"plugin {name!r}"
    calls = RegistrationCalls(plugin, label)
    methods = as_classes(calls.methods(), "method", label)
    schedules = as_classes(calls.schedules(), "schedule", label)
    switches = as_classes(calls.switches(), "switch", label)
    masks = as_classes(calls.masks(), "mask shape", label)
    plugins = as_classes(calls.plugins(), "run plugin", label)
    families = as_kind(calls.families(), FamilyEntry, label)
    models = as_kind(calls.models(), EmbeddedModel, label)
    commands = as_kind(calls.commands(), CommandEntry, label)
    presets = as_kind(calls.presets(), Path, label)
    kinds: dict[str, tuple[Sequence[Any], dict[str, Any]]] = {
        "method": (methods, registry.methods),
        "family": (families, registry.families),
        "model": (models, registry.models),
        "schedule": (schedules, registry.schedules),
        "switch": (switches, registry.switches),
        "mask": (masks, registry.masks),
        "plugin": (plugins, registry.plugins),
        "command": (commands, registry.commands),
    }
    new = [(kind, entry.name) for kind, (entries, _) in kinds.items() for entry in entries]
    new += [("preset", path.stem) for path in presets]
    adapted = [
        ("adapter to", cls) for entry in families for cls in (*entry.pipelines, *entry.modular)
    ]
    short = [("short form", "until=NUMBER") for cls in switches if hasattr(cls, "number")]
    for option, classes in (("strength", schedules), ("until", switches)):
        short += [("short form", f"{option}=FUNCTION") for cls in classes if hasattr(cls, "calls")]
    short += [("option of masks", cls.key) for cls in masks if hasattr(cls, "key")]
    short += [("argument", cls.argument) for cls in plugins if hasattr(cls, "argument")]
    registry.claim(name, [*new, *adapted, *short])
    for entries, registered in kinds.values():
        registered.update({entry.name: entry for entry in entries})
    registry.presets.update({path.stem: path for path in presets})
    return tuple(f"{kind} {entry}" for kind, entry in new)
