"""Finding, filtering and loading plugins: who registers which name, and why one is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._base.names import did_you_mean, listed, no_adapter
from refhooks._base.notebooks import html_table
from refhooks._base.once import once
from refhooks._base.shown import shown
from refhooks._core.plugins.records import (
    PluginRecord,
)
from refhooks._core.plugins.short_forms import read_by
from refhooks.errors import InputError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from refhooks._core.contract.entries import CommandEntry, EmbeddedModel, FamilyEntry
    from refhooks._core.contract.methods import Method, RunPlugin
    from refhooks._core.contract.protocols import MaskShape, Schedule, Switch

_STEERING = {
    "method": "methods", "plugin": "plugins", "schedule": "schedules", "switch": "switches",
    "mask": "masks",
}  # fmt: skip

__all__ = ["PluginRecord", "Registry"]


@attrs.frozen
class Registry:
    """Everything the live plugins register, by name.

    Attributes:
        records: One record a plugin: those that ship, then the others, in the order of their names.
        methods: Method classes by name.
        families: Families by name.
        models: Embedded models by name.
        schedules: Schedule classes by name.
        switches: Switch classes by name.
        masks: Mask shape classes by name.
        plugins: Run plugin classes by name.
        presets: Files of presets by name.
        commands: Commands by name.
    """

    records: tuple[PluginRecord, ...]
    methods: dict[str, type[Method]]
    families: dict[str, FamilyEntry]
    models: dict[str, EmbeddedModel]
    schedules: dict[str, type[Schedule]] = attrs.field(factory=dict)
    switches: dict[str, type[Switch]] = attrs.field(factory=dict)
    masks: dict[str, type[MaskShape]] = attrs.field(factory=dict)
    plugins: dict[str, type[RunPlugin]] = attrs.field(factory=dict)
    presets: dict[str, Path] = attrs.field(factory=dict)
    commands: dict[str, CommandEntry] = attrs.field(factory=dict)
    _owners: dict[tuple[str, str], str] = attrs.field(factory=dict)

    def method(self, name: str, options: dict[str, Any] | None = None) -> Method:
        """Return the description of a registered method.

        Raises:
            UnknownNameError: No live plugin registers the name.
            InputError: The method has no such option, or refuses its value.
        """
        method: Method = self._make("method", name, self.methods, options)
        return method

    def schedule(self, name: str, options: dict[str, Any] | None = None) -> Schedule:
        """Return a registered schedule with its options; raises as :meth:`method`."""
        schedule: Schedule = self._make("schedule", name, self.schedules, options)
        return schedule

    def switch(self, name: str, options: dict[str, Any] | None = None) -> Switch:
        """Return a registered switch with its options; raises as :meth:`method`."""
        switch: Switch = self._make("switch", name, self.switches, options)
        return switch

    def plugin(self, name: str, options: dict[str, Any] | None = None) -> RunPlugin:
        """Return a registered run plugin with its options; raises as :meth:`method`."""
        plugin: RunPlugin = self._make("plugin", name, self.plugins, options)
        return plugin

    def schedule_from(self, text: str) -> Schedule:
        """Return the schedule that a short form such as ``0.4:1.0`` means.

        Raises:
            InputError: No registered schedule has such a form, several have, or its values are bad.
        """
        key = ("schedule", id(self), text)
        return once(key, lambda: self._schedule_from(text), size=lambda _: 0, holding=self)

    def _schedule_from(self, text: str) -> Schedule:
        readings = read_by("schedule", "parse", self.schedules, text, f"strength {shown(text)}: ")
        if len(readings) != 1:
            forms = [
                cls.short for _, cls in sorted(self.schedules.items()) if hasattr(cls, "short")
            ]
            reason = (
                f"could mean any of the schedules {listed(readings)}; write it in full"
                if readings
                else f"is neither a number nor a schedule. Forms: {listed(forms)}.{self.absent()}"
            )
            raise InputError(f"strength {shown(text)} {reason}")
        schedule: Schedule = next(iter(readings.values()))
        return schedule

    def switch_at(self, number: float) -> Switch:
        """Return the switch that ``until=number`` means.

        Raises:
            UnknownNameError: No live plugin registers a switch that takes a bare number.
        """
        for name, cls in self.switches.items():
            option = getattr(cls, "number", None)
            if option is not None:
                return self.switch(name, {option: number})
        raise UnknownNameError(
            f"until={number:g} needs a switch that a number is short for; none is registered."
            f"{self.absent()}"
        )

    def from_function(self, kind: Literal["schedule", "switch"], function: Any) -> Any:
        """Return the schedule or switch that a bare function means.

        Raises:
            UnknownNameError: No live plugin registers one that takes a function.
        """
        classes = self.schedules if kind == "schedule" else self.switches
        for name, cls in classes.items():
            option = getattr(cls, "calls", None)
            if option is not None:
                return self._make(kind, name, classes, {option: function})
        raise UnknownNameError(
            f"a function needs a {kind} that calls one; none is registered.{self.absent()}"
        )

    def shape(self, options: dict[str, Any], name: str | None = None) -> MaskShape:
        """Return a registered mask shape with its options.

        Args:
            options: Its options.
            name: Its name; ``None``: the one option that names a shape says it.

        Raises:
            UnknownNameError: No live plugin registers the name.
            InputError: No option names a shape, or an option is unknown or refused.
        """
        if name is None:
            keys = {cls.key: name for name, cls in self.masks.items() if hasattr(cls, "key")}
            names = [keys[key] for key in options if key in keys]
            if len(names) != 1:
                near = [did_you_mean(key, keys) for key in options]
                raise InputError(
                    f"a mask needs one of {listed(sorted(keys))}, which say what is covered;"
                    f" got {listed(sorted(options)) or 'none'}.{''.join(near)}{self.absent()}"
                )
            name = names[0]
        shape: MaskShape = self._make("mask shape", name, self.masks, options)
        return shape

    def shape_from(self, value: Any) -> MaskShape:
        """Return the mask shape that a bare value such as a path means.

        Raises:
            InputError: No registered shape reads it, several do, or its values are bad.
        """
        readings = read_by("mask shape", "read", self.masks, value, "")
        if len(readings) != 1:
            forms = [cls.short for _, cls in sorted(self.masks.items()) if hasattr(cls, "short")]
            reason = (
                f"could be any of the mask shapes {listed(readings)}; name its options"
                if readings
                else f"is no mask. Forms: {listed(forms)}.{self.absent()}"
            )
            raise InputError(f"{shown(value)} {reason}")
        shape: MaskShape = next(iter(readings.values()))
        return shape

    def for_argument(self, argument: str, value: Any) -> RunPlugin:
        """Return the run plugin that stands for an argument of ``edit()``.

        Raises:
            UnknownNameError: No live plugin registers one.
        """
        for name, cls in self.plugins.items():
            if getattr(cls, "argument", None) == argument:
                plugin: RunPlugin = self._make("plugin", name, self.plugins, {"value": value})
                return plugin
        raise UnknownNameError(
            f"{argument} needs a plugin that stands for it; none is registered.{self.absent()}"
        )

    def _make(
        self, kind: str, name: str, classes: dict[str, type[Any]], options: dict[str, Any] | None
    ) -> Any:
        if not isinstance(name, str):
            raise InputError(f"a {kind} is named by a text, got {shown(name)}")
        if name not in classes:
            raise self.unknown(kind, name, classes)
        return make(classes[name], f"{kind} {name!r}", options or {})

    def owner(self, kind: str, name: str) -> str | None:
        """Return the plugin that registers a name, such as ``("method", "inject")``."""
        return self._owners.get((kind, name))

    def record(self, plugin: str | None) -> PluginRecord | None:
        """Return the record of a plugin by its name."""
        named = [record for record in self.records if record.name == plugin]
        live = [record for record in named if record.state == "live"]
        return next(iter([*live, *named]), None)

    def origin(self, kind: str, made: Any) -> str:
        """Return what messages put after a name: `` [distribution version]``, where it is known.

        Args:
            kind: ``method``, ``plugin``, ``schedule``, ``switch`` or ``mask``.
            made: A value of a registered class; of any other nothing is known.
        """
        name, known = getattr(made, "name", ""), _STEERING[kind]
        return self.brought(kind, name) if getattr(self, known).get(name) is type(made) else ""

    def brought(self, kind: str, name: str) -> str:
        """Return the same for the name of anything that is registered, such as a ``family``."""
        record = self.record(self.owner(kind, name))
        return f" [{record.origin}]" if record is not None and record.origin else ""

    def _repr_html_(self) -> str:
        """What a notebook shows: a line a plugin, as ``refhooks plugins`` prints."""
        rows = [
            (it.name, it.origin, it.state, it.reason or ", ".join(it.registers))
            for it in self.records
        ]
        return html_table(("plugin", "from", "state", "registers"), rows)

    def claim(self, plugin: str, names: Sequence[tuple[str, str]]) -> None:
        """Note which plugin registers these (kind, name) pairs.

        Raises:
            PluginError: A name is taken; nothing is noted then.
        """
        for place, (kind, name) in enumerate(names):
            twice = (kind, name) in names[:place]
            owner = plugin if twice else self._owners.get((kind, name))
            if owner is not None:
                raise PluginError(
                    f"{kind} {name!r} is already registered by plugin {owner!r}; it needs another"
                )
        self._owners.update(dict.fromkeys(names, plugin))

    def unknown(self, kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """Return the error for a name that nothing registers; it names plugins that are off."""
        known = sorted(known)
        others = [
            other
            for other, taken in self._owners
            if taken == name and other not in {kind, "command"}
        ]
        return UnknownNameError(
            f"there is no {kind} {shown(name, 400)}.{did_you_mean(name, known)}"
            + (f" There is a {others[0]} of that name." if others else "")
            + (" load_strategy reads a file." if name.lower().endswith((".toml", ".json")) else "")
            + f" Registered: {listed(known)}.{self.absent()}"
        )

    def no_family(self, pipeline: object) -> str:
        """Return sentences for a pipeline class that nothing adapts."""
        known = {
            cls: entry.name
            for entry in self.families.values()
            for cls in (*entry.pipelines, *entry.modular)
        }
        return no_adapter(pipeline, known) + self.absent()

    def absent(self) -> str:
        """Return a sentence on the plugins that are blocked or broken, or an empty string."""
        off = [f"{entry.name} ({entry.reason})" for entry in self.records if entry.state != "live"]
        return f" Not loaded: {listed(off)}." if off else ""


def make(cls: type[Any], label: str, options: dict[str, Any]) -> Any:
    """Make a description from options.

    Raises:
        InputError: An unknown option, or one whose value is refused.
    """
    fields = attrs.fields(cls) if attrs.has(cls) else ()
    known = [field.alias for field in fields if field.init]
    unknown = [option for option in options if option not in known]
    if attrs.has(cls) and unknown:
        raise InputError(
            f"{label} has no option {unknown[0]!r}.{did_you_mean(unknown[0], known)}"
            f" Options: {listed(known)}"
        )
    try:
        return cls(**options)
    except (TypeError, ValueError, ArithmeticError) as error:  # such as a float of 10**400
        reason = error.args[0] if error.args else error
        raise InputError(f"{label}: {reason}") from error
    except Exception as error:
        unfit = [option for option, value in options.items() if not _has_words(value)]
        if not unfit:
            raise  # the plugin's own
        raise InputError(
            f"{label}: {unfit[0]} cannot be used: {shown(options[unfit[0]])}"
        ) from error


def _has_words(value: Any) -> bool:
    try:
        return isinstance(repr(value), str)
    except Exception:  # noqa: BLE001  then a message that tells of it fails as well
        return False
