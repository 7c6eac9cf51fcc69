"""What a plugin registers, as the kit checks it: one thing with one set of options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._base.names import did_you_mean, listed
from refhooks._base.shown import shown
from refhooks._core.plugins.inline import plugin_name, with_plugins
from refhooks._core.plugins.loading import load_registry
from refhooks._core.plugins.registry import make
from refhooks.errors import PluginError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from refhooks._core.plugins.registry import PluginRecord, Registry

Kind = Literal[
    "method",
    "plugin",
    "schedule",
    "switch",
    "mask",
    "family",
    "model",
    "preset",
    "command",
    "entry point",
]
KINDS: dict[Kind, str] = {
    "method": "methods",
    "plugin": "plugins",
    "schedule": "schedules",
    "switch": "switches",
    "mask": "masks",
    "family": "families",
    "model": "models",
    "preset": "presets",
    "command": "commands",
}
"""Kinds of things, and the field of the registry that holds them."""


@attrs.frozen(eq=False)
class Subject:
    """One thing that a plugin registers, with options to make it.

    Attributes:
        kind: What it is.
        name: Its registered name.
        plugin: The record of the plugin that brings it.
        registry: Where it is registered.
        registered: Its class; for families, models and commands their entry, for presets
            their file.
        options: To make it with.
        form: Tells several sets of options apart; empty if there is one.
        source: The module or object, where it is not an installed plugin.
    """

    kind: Kind
    name: str
    plugin: PluginRecord
    registry: Registry
    registered: Any
    options: Mapping[str, Any]
    form: str = ""
    source: object = None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}{self.form}"

    def made(self, cls: type[Any] | None = None) -> Any:
        """Return it, made with its options; of a class of its own if one is given."""
        return make(cls or self.registered, f"{self.kind} {self.name!r}", dict(self.options))


def subjects_of(plugin: str | object) -> tuple[Subject, ...]:
    """Return what a plugin registers, one entry for each set of options to try.

    The options are those that the class method ``examples`` returns, by default none. A plugin that
    did not load is itself the one subject.

    Args:
        plugin: Its name, as ``refhooks plugins`` lists it, or a module or object with
            registration hooks.

    Raises:
        UnknownNameError: No installed plugin has the name.
        PluginError: A module or object is no plugin, or an ``examples`` raises.
    """
    registry = load_registry()
    if not isinstance(plugin, str):
        registry = with_plugins(registry, [plugin])
    name = plugin if isinstance(plugin, str) else plugin_name(plugin)
    records = {record.name: record for record in registry.records}
    if name not in records:
        raise UnknownNameError(
            f"there is no plugin {name!r}.{did_you_mean(name, records)}"
            f" Installed: {listed(records)}"
        )
    record = records[name]
    if record.state != "live":
        return (Subject("entry point", name, record, registry, None, {}),)
    subjects = [
        subject for entry in record.registers for subject in _subjects(record, entry, registry)
    ]
    source = None if isinstance(plugin, str) else plugin
    return tuple(attrs.evolve(subject, source=source) for subject in subjects)


def _subjects(record: PluginRecord, entry: str, registry: Registry) -> list[Subject]:
    kind, _, name = entry.partition(" ")
    if kind not in KINDS:
        return []
    registered = getattr(registry, KINDS[kind])[name]
    try:
        examples = _examples(registered)
    except Exception as error:
        raise PluginError(
            f"{entry}: its examples() raised {type(error).__name__}: {error}"
        ) from error
    return [
        Subject(
            kind, name, record, registry, registered, options,
            form=f" with {_written(options)}" if len(examples) > 1 else "",
        )
        for options in examples
    ]  # fmt: skip


def _written(options: Mapping[str, Any]) -> str:
    return (
        ", ".join(f"{name}={shown(value, 40)}" for name, value in options.items()) or "no options"
    )


def _examples(registered: Any) -> Sequence[Mapping[str, Any]]:
    examples = getattr(registered, "examples", None)
    return ({},) if examples is None else tuple(examples())
