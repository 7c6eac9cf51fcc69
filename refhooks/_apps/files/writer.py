"""Strategies as what TOML and JSON can hold."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.files.mask_tables import shape_table
from refhooks._base.shown import shown
from refhooks._core.contract.methods import RunPlugin
from refhooks._core.planning.strategy import Reference, Stage, Strategy, stage_strength
from refhooks._core.plugins.labels import is_description
from refhooks.errors import InputError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refhooks._core.contract.protocols import MaskShape
    from refhooks._core.masks.mask import Mask
    from refhooks._core.planning.timetable import PluginStrengths, Timetable
    from refhooks._core.plugins.registry import Registry


class NotPlainError(Exception):
    """A value that no file can hold; its argument says which."""


@attrs.frozen
class Writer:
    """Turns strategies into tables.

    Attributes:
        registry: What is not registered in it cannot be read back, and is refused.
        path: Of the file: pictures in its folder are written relative to it.
        timetable: Where values of functions are taken from; its references are those written.
    """

    registry: Registry
    path: Path
    timetable: Timetable | None

    def file(self, what: Strategy | Sequence[Reference]) -> dict[str, Any]:
        """Return the tables of a whole file.

        Raises:
            StrategyError: As :func:`refhooks.dump_strategy` says.
        """
        if isinstance(what, Strategy):
            return self._strategy(what, 0, "")
        listed = isinstance(what, Sequence) and not isinstance(what, str)
        if not listed or not what or not all(isinstance(entry, Reference) for entry in what):
            raise StrategyError(f"write a Strategy, or a list of references, got {shown(what)}")
        return {"reference": [self._reference(entry, place) for place, entry in enumerate(what)]}

    def plugins(self, plugins: Sequence[object]) -> dict[str, Any]:
        """Return the tables of run plugins; raises as :meth:`file`."""
        tables = []
        for place, (entry, ran) in enumerate(self.with_strengths(plugins), 1):
            label = f"plugin {place}"
            if not isinstance(entry, RunPlugin):
                raise StrategyError(
                    f"{label}: {shown(entry)} is not registered, so no file names it"
                )
            try:
                tables.append(self.plugin(entry, label, ran))
            except NotPlainError as error:
                raise StrategyError(str(error)) from error
        return {"plugin": tables} if tables else {}

    def with_strengths(self, plugins: Sequence[object]) -> list[tuple[Any, PluginStrengths | None]]:
        """Return each plugin with its strengths in the timetable, where it has any."""
        ran = iter(() if self.timetable is None else self.timetable.plugins)
        return [
            (
                it,
                next(ran, None) if is_description(it) and getattr(it, "scheduled", False) else None,
            )
            for it in plugins
        ]

    def plugin(
        self, plugin: RunPlugin, label: str, ran: PluginStrengths | None = None
    ) -> dict[str, Any]:
        """Return the table of a run plugin.

        Args:
            plugin: What is written.
            label: How messages name it.
            ran: Its strengths in the timetable: a function is written as what it gave.

        Raises:
            StrategyError: It is not registered.
            NotPlainError: It holds what no file can.
        """
        options = self._options(plugin, "plugin", self.registry.plugins, label)
        if getattr(plugin, "scheduled", False) and "strength" in options:
            try:
                strength = stage_strength(options["strength"], label)
                options["strength"] = self._named(
                    strength, "schedule", self.registry.schedules, label
                )
            except NotPlainError:
                if ran is None:
                    raise
                options["strength"] = ran.strengths[ran.start : ran.end]
        try:
            return {"plugin": plugin.name, **_plain(options)}
        except NotPlainError as error:
            raise NotPlainError(
                f"{label}: plugin {plugin.name!r} holds {error}, which no file can hold"
            ) from error

    def _reference(self, reference: Reference, place: int) -> dict[str, Any]:
        label = f"reference {place + 1}"
        if not isinstance(reference.image, str | Path):
            raise StrategyError(f"{label}: its picture is in memory; save it, and give its path")
        table: dict[str, Any] = {"image": self._relative(Path(reference.image))}
        if reference.resolution is not None:
            table["resolution"] = reference.resolution
        if reference.strategy is None:
            return table
        steering = reference.strategy
        strategy = steering if isinstance(steering, Strategy) else Strategy(steering)
        return {**table, **self._strategy(strategy, place, f"{label}, ")}

    def _relative(self, image: Path) -> str:
        """Return a path that means the same from the folder of the file.

        One that was given relative stays so, and one in the folder of the file becomes so: both may
        be moved together.
        """
        folder, place = self.path.parent.absolute(), image.absolute()
        if image.is_absolute() and not place.is_relative_to(folder):
            return str(image)
        relative = os.path.relpath(place, folder)
        same = os.path.realpath(folder / relative) == os.path.realpath(place)
        return relative if same else str(place)  # the folder may be a link

    def _strategy(self, strategy: Strategy, reference: int, label: str) -> dict[str, Any]:
        vision = {} if strategy.vision == "auto" else {"vision": strategy.vision}
        stages = [
            self._stage(stage, reference, place, f"{label}stage {place + 1}")
            for place, stage in enumerate(strategy.stages)
        ]
        masks = [
            self._mask(mask, reference, place, f"{label}mask {place + 1}")
            for place, mask in enumerate(strategy.masks)
        ]
        return {**vision, "stage": stages, **({"mask": masks} if masks else {})}

    def _stage(self, stage: Stage, reference: int, place: int, label: str) -> dict[str, Any]:
        method, strength, until = stage.method, stage.strength, stage.until
        if isinstance(method, str):
            self.registry.method(method)  # a name that nothing registers could not be read back
        table = {"method": self._named(method, "method", self.registry.methods, label)}
        try:
            written = self._named(strength, "schedule", self.registry.schedules, label)
        except NotPlainError as error:
            written = self._ran(reference, place, label, str(error))
        if written != 1.0 or isinstance(written, bool):
            table["strength"] = written
        if until is not None:
            try:
                table["until"] = self._named(until, "switch", self.registry.switches, label)
            except NotPlainError as error:
                table["until"] = self._ended(reference, place, label, str(error))
        return table

    def _mask(self, mask: Mask, reference: int, place: int, label: str) -> dict[str, Any]:
        table = {key: value for key, value in _options(mask).items() if key != "shape"}
        if "strength" in table:
            try:
                table["strength"] = self._named(
                    mask.strength, "schedule", self.registry.schedules, label
                )
            except NotPlainError as error:
                rows = self._rows(reference, str(error))
                table["strength"] = [row.masks[place] for _, row in rows]
        return {**table, **self._shape(mask.shape, label)}

    def _shape(self, shape: MaskShape, label: str) -> dict[str, Any]:
        options = self._options(shape, "mask shape", self.registry.masks, label)
        try:
            options = shape_table(shape, options, self.registry, self._relative)
            return {key: _plain(value) for key, value in options.items()}
        except InputError as error:
            raise StrategyError(f"{label}: {error}") from error
        except NotPlainError as error:
            raise StrategyError(
                f"{label}: mask shape {shape.name!r} holds {error}, which no file can hold; save it"
                " as a black-and-white picture, and give its path"
            ) from error

    def _named(self, value: Any, kind: str, known: Mapping[str, type[Any]], label: str) -> Any:
        """Return a registered value as its name and the options that are not its defaults."""
        if isinstance(value, str | float):
            return value
        if isinstance(value, tuple):
            return list(value)
        options = self._options(value, kind, known, label)
        try:
            return {kind: value.name, **_plain(options)}
        except NotPlainError as error:
            reason = f"{label}: {kind} {value.name!r} holds {error}, which no file can hold"
            if kind == "method":
                raise StrategyError(reason) from error
            raise NotPlainError(reason) from error

    def _options(
        self, value: Any, kind: str, known: Mapping[str, type[Any]], label: str
    ) -> dict[str, Any]:
        """Return the options of a registered value that are not their defaults."""
        if known.get(value.name) is not type(value):
            raise StrategyError(
                f"{label}: {kind} {value.name!r} is not registered as {type(value).__name__}, so no"
                " file can name it"
            )
        if not attrs.has(type(value)):
            raise StrategyError(
                f"{label}: {kind} {value.name!r} is no attrs class, so its options cannot be read"
            )
        return _options(value)

    def _ran(self, reference: int, stage: int, label: str, reason: str) -> list[float]:
        rows = self._rows(reference, reason)
        strengths = [row.strength for _, row in rows if row.stage == stage]
        if not strengths:
            raise StrategyError(f"{label} gets no step of the timetable, so it has no values")
        return strengths

    def _ended(self, reference: int, stage: int, label: str, reason: str) -> float | None:
        """Return the progress of the first step of a later stage."""
        rows = self._rows(reference, reason)
        ends = [progress for progress, row in rows if row.stage > stage]
        end = ends[0] if ends else 1.0
        if all(row.stage != stage for _, row in rows):
            raise StrategyError(f"{label} gets no step of the timetable, so it has no end")
        return end

    def _rows(self, reference: int, reason: str) -> list[Any]:
        if self.timetable is None:
            raise StrategyError(
                f"{reason}; give timetable=result.timetable, and what it gave is written"
            )
        return [
            (planned.step.progress, planned.rows[reference]) for planned in self.timetable.steps
        ]


def _options(value: Any) -> dict[str, Any]:
    """Return the options that are not their defaults."""
    options = {}
    for field in attrs.fields(type(value)):
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory(value) if default.takes_self else default.factory()
        option = getattr(value, field.name)
        if field.init and (default is attrs.NOTHING or option != default):
            options[field.alias] = option
    return options


def _plain(value: Any) -> Any:
    """Return a value as strings, bools, finite numbers, lists and dicts."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    if isinstance(value, Path):
        return str(value)
    kind = "a function" if callable(value) else f"{shown(value)}".partition("\n")[0]
    raise NotPlainError(kind)
