"""Finding, filtering and loading plugins: who registers which name, and why one is missing."""

from __future__ import annotations

import functools
import os
import traceback
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.names import did_you_mean, listed
from refhooks._core.contract.entries import OWN_COMMANDS
from refhooks._core.plugins.calls import RegistrationCalls
from refhooks._core.plugins.record import (
    ALLOW,
    BLOCK,
    PluginRecord,
    distribution,
    refused,
    split,
    warn_of_unknown,
)
from refhooks._core.plugins.short_forms import read_by
from refhooks.errors import InputError, PluginError, RefhooksError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from refhooks._core.contract.entries import CommandEntry
    from refhooks._core.contract.family import EmbeddedModel, FamilyEntry
    from refhooks._core.contract.methods import Method, RunPlugin
    from refhooks._core.contract.protocols import Schedule, Switch
    from refhooks._core.masks.mask import MaskShape

GROUP = "refhooks"
_STEERING = {
    "method": "methods", "plugin": "plugins", "schedule": "schedules", "switch": "switches",
    "mask": "masks",
}  # fmt: skip

__all__ = ["PluginRecord", "Registry", "load_registry"]


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
        made: Method = self._make("method", name, self.methods, options)
        return made

    def schedule(self, name: str, options: dict[str, Any] | None = None) -> Schedule:
        """Return a registered schedule with its options; raises as :meth:`method`."""
        made: Schedule = self._make("schedule", name, self.schedules, options)
        return made

    def switch(self, name: str, options: dict[str, Any] | None = None) -> Switch:
        """Return a registered switch with its options; raises as :meth:`method`."""
        made: Switch = self._make("switch", name, self.switches, options)
        return made

    def plugin(self, name: str, options: dict[str, Any] | None = None) -> RunPlugin:
        """Return a registered run plugin with its options; raises as :meth:`method`."""
        made: RunPlugin = self._make("plugin", name, self.plugins, options)
        return made

    def schedule_from(self, text: str) -> Schedule:
        """Return the schedule that a short form such as ``0.4:1.0`` means.

        Raises:
            InputError: No registered schedule has such a form, several have, or its values are bad.
        """
        found = read_by("schedule", "parse", self.schedules, text, f"strength {text!r:.80}: ")
        if len(found) != 1:
            forms = [
                cls.short for _, cls in sorted(self.schedules.items()) if hasattr(cls, "short")
            ]
            reason = (
                f"could mean any of the schedules {listed(found)}; write it in full"
                if found
                else f"is no number, and no schedule is written so. Forms: {listed(forms)}."
                f"{self.absent()}"
            )
            raise InputError(f"strength {text!r:.80} {reason}")
        schedule: Schedule = next(iter(found.values()))
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
            found = [keys[key] for key in options if key in keys]
            if len(found) != 1:
                near = [did_you_mean(key, keys) for key in options]
                raise InputError(
                    f"a mask needs one of {listed(sorted(keys))}, which say what is covered;"
                    f" got {listed(sorted(options)) or 'none'}.{''.join(near)}{self.absent()}"
                )
            name = found[0]
        shape: MaskShape = self._make("mask shape", name, self.masks, options)
        return shape

    def shape_from(self, value: Any) -> MaskShape:
        """Return the mask shape that a bare value such as a path means.

        Raises:
            InputError: No registered shape reads it, several do, or its values are bad.
        """
        found = read_by("mask shape", "read", self.masks, value, "")
        if len(found) != 1:
            forms = [cls.short for _, cls in sorted(self.masks.items()) if hasattr(cls, "short")]
            reason = (
                f"could be any of the mask shapes {listed(found)}; name its options"
                if found
                else f"is no mask. Forms: {listed(forms)}.{self.absent()}"
            )
            raise InputError(f"{value!r:.80} {reason}")
        shape: MaskShape = next(iter(found.values()))
        return shape

    def for_argument(self, argument: str, value: Any) -> RunPlugin:
        """Return the run plugin that stands for an argument of ``edit()``.

        Raises:
            UnknownNameError: No live plugin registers one.
        """
        for name, cls in self.plugins.items():
            if getattr(cls, "argument", None) == argument:
                made: RunPlugin = self._make("plugin", name, self.plugins, {"value": value})
                return made
        raise UnknownNameError(
            f"{argument} needs a plugin that stands for it; none is registered.{self.absent()}"
        )

    def _make(
        self, kind: str, name: str, classes: dict[str, type[Any]], options: dict[str, Any] | None
    ) -> Any:
        if name not in classes:
            raise self.unknown(kind, name, classes)
        return make(classes[name], f"{kind} {name!r}", options or {})

    def owner(self, kind: str, name: str) -> str | None:
        """Return the plugin that registers a name, such as ``("method", "inject")``."""
        return self._owners.get((kind, name))

    def record(self, plugin: str | None) -> PluginRecord | None:
        """Return the record of a plugin by its name."""
        return next((record for record in self.records if record.name == plugin), None)

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
            f"there is no {kind} {name!r}.{did_you_mean(name, known)}"
            + (f" There is a {others[0]} of that name." if others else "")
            + f" Registered: {listed(known)}.{self.absent()}"
        )

    def no_family(self) -> str:
        """Return a sentence for a pipeline class that nothing adapts."""
        known = sorted(name for entry in self.families.values() for name in entry.pipelines)
        return f"no plugin has an adapter for it. Supported: {listed(known)}.{self.absent()}"

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
    except (TypeError, ValueError) as error:
        reason = error.args[0] if error.args else error
        raise InputError(f"{label}: {reason}") from error


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
    records = [
        _load_one(point, registry, refused(point, allow, allowed, blocked)) for point in points
    ]
    return attrs.evolve(registry, records=tuple(records))


def _order(point: EntryPoint) -> tuple[bool, str, str]:
    """Those that ship come first: what is installed beside them takes no name away from them."""
    return distribution(point) != GROUP, point.name, point.value


def _load_one(point: EntryPoint, registry: Registry, why_not: str) -> PluginRecord:
    record = PluginRecord(
        name=point.name,
        distribution=distribution(point),
        version=(point.dist.version or "") if point.dist else "",
        state="blocked" if why_not else "live",
        reason=why_not,
    )
    if why_not:
        return record
    try:
        registers = _register(point.load(), point.name, registry)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the others live
        reason = f"{type(error).__name__}: {error}{_line_of(error)}"
        return attrs.evolve(record, state="broken", reason=reason)
    return attrs.evolve(record, registers=registers)


def _line_of(error: BaseException) -> str:
    """Where in a plugin's code it was raised; nothing where the message says it already."""
    if isinstance(error, RefhooksError | SyntaxError):
        return ""
    frames = [
        (Path(frame.filename).name, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    return f" ({frames[-1][0]}, line {frames[-1][1]})" if frames else ""


def _register(plugin: object, name: str, registry: Registry) -> tuple[str, ...]:
    """Register what a plugin brings, under its name, and return what that is.

    Raises:
        PluginError: It is no plugin, or a name is taken; nothing is registered then.
    """
    calls = RegistrationCalls(plugin, f"plugin {name!r}")
    methods = _checked("method", calls.methods(), "bind(reference, run)")
    schedules = _checked("schedule", calls.schedules(), "strength(step)")
    switches = _checked("switch", calls.switches(), "ended(step)")
    masks = _checked("mask shape", calls.masks(), "cover(size)")
    plugins = _checked("run plugin", calls.plugins(), "bind_run(run)")
    families, models = calls.families(), calls.models()
    presets = calls.presets()
    kinds: dict[str, tuple[Sequence[Any], dict[str, Any]]] = {
        "method": (methods, registry.methods),
        "family": (families, registry.families),
        "model": (models, registry.models),
        "schedule": (schedules, registry.schedules),
        "switch": (switches, registry.switches),
        "mask": (masks, registry.masks),
        "plugin": (plugins, registry.plugins),
        "command": (calls.commands(), registry.commands),
    }
    new = [(kind, entry.name) for kind, (entries, _) in kinds.items() for entry in entries]
    new += [("preset", path.stem) for path in presets]
    adapted = [("adapter to", cls) for entry in families for cls in entry.pipelines]
    short = [("short form", "until=NUMBER") for cls in switches if hasattr(cls, "number")]
    short += [("option of masks", cls.key) for cls in masks if hasattr(cls, "key")]
    short += [("argument", cls.argument) for cls in plugins if hasattr(cls, "argument")]
    registry.claim(name, [*new, *adapted, *short])
    for entries, registered in kinds.values():
        registered.update({entry.name: entry for entry in entries})
    registry.presets.update({path.stem: path for path in presets})
    return tuple(f"{kind} {entry}" for kind, entry in new)


def _checked(kind: str, classes: Sequence[type[Any]], call: str) -> Sequence[type[Any]]:
    for cls in classes:
        named = isinstance(getattr(cls, "name", None), str)
        if not named or not hasattr(cls, call.partition("(")[0]):
            raise PluginError(f"{cls!r} is not a {kind}: it needs a name and {call}")
    return classes
