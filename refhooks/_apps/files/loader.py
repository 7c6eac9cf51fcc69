"""The tables of a file as strategies, references and plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks._apps.files.mask_tables import read_mask
from refhooks._apps.files.structuring import as_table, at_label
from refhooks._base.names import did_you_mean, listed
from refhooks._base.shown import shown
from refhooks._core.masks.mask import Mask
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks.errors import StrategyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from refhooks._core.contract.methods import RunPlugin
    from refhooks._core.plugins.registry import Registry


def is_scheduled(registry: Registry, name: Any) -> bool:
    """Return whether a name is that of a run plugin whose strength may be a schedule."""
    known = registry.plugins.get(name) if isinstance(name, str) else None
    return bool(getattr(known, "scheduled", False))


MAX_ENTRIES = 1000  # of each list of tables: as many as a run may have steps


@attrs.frozen
class StageTable:
    """``[[stage]]``, as it stands in a file."""

    method: Any = None
    strength: Any = 1.0
    until: Any = None


def elsewhere(head: str) -> dict[str, str]:
    """Return the keys of stages and masks, and the tables that they belong into."""
    stage = dict.fromkeys(("method", "strength", "until"), f"[[{head}stage]]")
    masks = ("kind", "feather", "invert", "soft", "text", "box", "polygon", "alpha", "shape")
    return {**stage, **dict.fromkeys(masks, f"[[{head}mask]]")}


@attrs.frozen
class ReferenceTable:
    """``[[reference]]``, as it stands in a file."""

    belongs: ClassVar[dict[str, str]] = elsewhere("reference.")
    image: Any = None
    resolution: Any = None
    vision: Any = "auto"
    stage: Any = None
    mask: Any = None


@attrs.frozen
class FileTable:
    """A whole file: either references, or the stages and masks of one."""

    belongs: ClassVar[dict[str, str]] = {
        **elsewhere(""),
        **dict.fromkeys(("image", "resolution"), "[[reference]]"),
    }
    reference: Any = None
    vision: Any = "auto"
    stage: Any = None
    mask: Any = None


@attrs.frozen
class WholeTable(FileTable):
    """The same with the run plugins of the edit."""

    plugin: Any = None


@attrs.frozen
class Loader:
    """Makes values of the tables of a file.

    Attributes:
        registry: What names mean.
        path: Of the file, for messages.

    Raises:
        StrategyError: A table cannot be used; the message names it.
        UnknownNameError: It names what no live plugin registers.
    """

    registry: Registry
    path: Path

    def references(self, tables: Any) -> tuple[Reference, ...]:
        """Return the references that tables describe."""
        return tuple(
            [
                self._reference(entry, f"reference {number}")
                for number, entry in enumerate(self._list(tables, "reference", ""), 1)
            ]
        )

    def strategy(self, table: FileTable | ReferenceTable, label: str) -> Strategy:
        """Return the strategy that a table describes, which messages call ``label``."""
        place = f"{label}, " if label else ""
        stages = [
            self._stage(entry, f"{place}stage {number}")
            for number, entry in enumerate(self._list(table.stage, "stage", place), 1)
        ]
        masks = self._masks(table.mask, place)
        with at_label(self._label(label)):
            return Strategy(stages, vision=table.vision, masks=masks)

    def plugins(self, tables: Any, place: str = "") -> tuple[RunPlugin, ...]:
        """Return the run plugins that tables describe; ``place`` stands before their number."""
        if tables is None:
            return ()
        return tuple(
            [
                self.plugin(entry, f"{place}plugin {number}")
                for number, entry in enumerate(self._list(tables, "plugin", place), 1)
            ]
        )

    def plugin(self, data: Any, label: str) -> RunPlugin:
        """Return the run plugin that a table describes."""
        with at_label(self._label(label)):
            if not isinstance(data, dict):
                raise StrategyError(f"must be a table with the key 'plugin', got {shown(data)}")
            if "strength" in data and is_scheduled(self.registry, data.get("plugin")):
                strength = self._made(data["strength"], "schedule", self.registry.schedule)
                data = {**data, "strength": strength}
            plugin: RunPlugin = self._made(data, "plugin", self.registry.plugin)
            return plugin

    def _masks(self, tables: Any, place: str) -> list[Mask]:
        if tables is None:
            return []
        return [
            self.mask(entry, f"{place}mask {number}")
            for number, entry in enumerate(self._list(tables, "mask", place), 1)
        ]

    def _reference(self, data: Any, label: str) -> Reference:
        table: ReferenceTable = as_table(ReferenceTable, data, self._label(label))
        if not isinstance(table.image, str) or not table.image:
            raise StrategyError(
                f"{self._label(label)}: image must be a picture's path, got {shown(table.image)}"
            )
        strategy = None
        if (table.stage, table.vision, table.mask) != (None, "auto", None):
            strategy = self.strategy(table, label)
        with at_label(self._label(label)):
            return Reference(self.path.parent / table.image, strategy, resolution=table.resolution)

    def _stage(self, data: Any, label: str) -> Stage:
        where = self._label(label)
        table: StageTable = as_table(StageTable, data, where)
        if table.method is None:
            raise StrategyError(f"{where}: method is missing")
        with at_label(where):
            method = self._made(table.method, "method", self.registry.method)
            if isinstance(method, str):
                self.registry.method(method)
            strength = self._made(table.strength, "schedule", self.registry.schedule)
            until = self._made(table.until, "switch", self.registry.switch)
            stage = Stage(method, strength, until=until)
            if isinstance(stage.strength, str):
                self.registry.schedule_from(stage.strength)
            return stage

    def mask(self, data: Any, label: str) -> Mask:
        """Return the mask that a table describes."""
        with at_label(self._label(label)):
            shape, own = read_mask(data, self.registry, self.path.parent)
            strength = self._made(own.pop("strength", 1.0), "schedule", self.registry.schedule)
            mask = Mask(shape, strength=strength, **own)
            if isinstance(mask.strength, str):
                self.registry.schedule_from(mask.strength)
            return mask

    def _made(self, data: Any, kind: str, make: Callable[[str, dict[str, Any]], Any]) -> Any:
        """Make what a table describes; anything else is left to the stage to judge."""
        if not isinstance(data, dict):
            return data
        options = dict(data)
        if kind not in options:
            near = [key for key in options if did_you_mean(key, [kind])]
            unknown = f" Unknown key {near[0]!r}: did you mean {kind!r}?" if near else ""
            raise StrategyError(
                f"a table here needs the key {kind!r}, a registered name; it has"
                f" {listed(options) or 'no key'}.{unknown}"
            )
        name = options.pop(kind)
        if not isinstance(name, str):
            raise StrategyError(f"{kind} must be a registered name, got {shown(name)}")
        return make(name, options)

    def _list(self, data: Any, key: str, place: str) -> list[Any]:
        if not isinstance(data, list) or not data:
            where = f"{self.path}: {place}".rstrip(", ")
            raise StrategyError(
                f"{where.rstrip(':')}: there is no [[{key}]]"
                + ("" if data is None else f"; {key} is {shown(data)}")
                + (f"; write [[{key}]] with two brackets" if isinstance(data, dict) else "")
            )
        if len(data) > MAX_ENTRIES:
            where = f"{self.path}: {place}".rstrip(", ")
            raise StrategyError(
                f"{where.rstrip(':')}: there are {len(data)} [[{key}]], at most {MAX_ENTRIES}"
            )
        return data

    def _label(self, label: str) -> str:
        return f"{self.path}: {label}" if label else str(self.path)
