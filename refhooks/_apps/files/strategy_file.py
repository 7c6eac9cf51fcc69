"""Strategies as TOML and JSON files, there and back."""

from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import cattrs

from refhooks._apps.files.mask_tables import read_mask
from refhooks._apps.files.writer import Writer
from refhooks._base.files import write_whole
from refhooks._base.names import did_you_mean, listed
from refhooks._base.tables import read_table
from refhooks._base.toml import to_toml
from refhooks._core.masks.mask import Mask
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks._core.plugins.registry import load_registry
from refhooks.errors import InputError, StrategyError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from refhooks._core.contract.methods import RunPlugin
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.plugins.registry import Registry

__all__ = ["dump_strategy", "load_plugins", "load_references", "load_strategy"]


LOG = logging.getLogger("refhooks")


@attrs.frozen
class StageTable:
    """``[[stage]]``, as it stands in a file."""

    method: Any = None
    strength: Any = 1.0
    until: Any = None


@attrs.frozen
class ReferenceTable:
    """``[[reference]]``, as it stands in a file."""

    image: Any = None
    resolution: Any = None
    vision: Any = "auto"
    stage: Any = None
    mask: Any = None


@attrs.frozen
class FileTable:
    """A whole file: either references, or the stages and masks of one."""

    reference: Any = None
    vision: Any = "auto"
    stage: Any = None
    mask: Any = None


@attrs.frozen
class WholeTable(FileTable):
    """The same with the run plugins of the edit."""

    plugin: Any = None


@attrs.frozen
class StrategyFile:
    """What a strategy file holds.

    Attributes:
        what: The strategy of one picture, or references with theirs.
        plugins: Run plugins of the edit.
    """

    what: Strategy | tuple[Reference, ...]
    plugins: tuple[RunPlugin, ...]


_converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=False)


def load_strategy(path: str | Path) -> Strategy:
    """Return the strategy of a file with top-level ``[[stage]]``.

    Args:
        path: Ends in .toml or .json; at most 1 MiB. Pictures of masks are relative to its folder.
            Its run plugins, if it names any, are read with :func:`load_plugins`.

    Raises:
        StrategyError: The file cannot be read, or holds what is no strategy; the message names the
            file, the stage or mask, and the key.
        UnknownNameError: A method, schedule, switch or mask shape that no live plugin registers.
    """
    held = _steering(Path(path))
    if not isinstance(held, Strategy):
        raise StrategyError(
            f"{path} lists references with pictures of their own; read it with load_references"
        )
    return held


def load_references(path: str | Path) -> tuple[Reference, ...]:
    """Return the references of a file with ``[[reference]]``, in its order.

    The first is the source: ``edit(references[0], prompt, references=references[1:])``.

    Args:
        path: Ends in .toml or .json; at most 1 MiB. Pictures are relative to its folder. Its run
            plugins, if it names any, are read with :func:`load_plugins`.

    Raises:
        StrategyError: As :func:`load_strategy` says.
        UnknownNameError: As :func:`load_strategy` says.
    """
    held = _steering(Path(path))
    if isinstance(held, Strategy):
        raise StrategyError(
            f"{path} has no [[reference]]: it is the strategy of one picture given elsewhere; read"
            " it with load_strategy"
        )
    return held


def load_plugins(path: str | Path) -> tuple[RunPlugin, ...]:
    """Return the run plugins of a strategy file, its ``[[plugin]]``; none if it has none.

    They are of the edit, not of a reference: ``edit(..., plugins=load_plugins(path))``.

    Args:
        path: As for :func:`load_strategy`.

    Raises:
        StrategyError: As :func:`load_strategy` says.
        UnknownNameError: A run plugin that no live plugin registers.
    """
    return load_file(path).plugins


def load_file(path: str | Path) -> StrategyFile:
    """Return all that a strategy file of either form holds; raises as :func:`load_strategy`."""
    place = Path(path)
    file, loader = _file(place), Loader(load_registry(), place)
    plugins = loader.plugins(file.plugin)
    if file.reference is None:
        return StrategyFile(loader.strategy(file, ""), plugins)
    if file.stage is not None or file.mask is not None or file.vision != "auto":
        raise StrategyError(f"{path}: stage, mask and vision belong into a [[reference]] of it")
    return StrategyFile(loader.references(file.reference), plugins)


def _steering(path: Path) -> Strategy | tuple[Reference, ...]:
    """What a file says of references."""
    held = load_file(path)
    if held.plugins:
        LOG.info("%s names run plugins as well: edit(plugins=refhooks.load_plugins(...))", path)
    return held.what


def dump_strategy(
    what: Strategy | Sequence[Reference],
    path: str | Path,
    *,
    plugins: Sequence[RunPlugin] = (),
    timetable: Timetable | None = None,
) -> Path:
    """Write a strategy, or references with theirs, to a file that reads back as the same values.

    Args:
        what: What to write. Pictures are written relative to the file where they lie in its folder,
            and otherwise by their whole path.
        path: Ends in .toml or .json; a file that is there is replaced.
        plugins: Run plugins of the edit, for :func:`load_plugins`.
        timetable: Of a run with these strategies: what holds a function, which no file can, is
            written as what it gave at each step of that run.

    Returns:
        The path written.

    Raises:
        StrategyError: It holds what no file can: a picture in memory, an array, a function, or a
            method, schedule, switch, mask shape or run plugin that is not registered.
        InputError: The file cannot be written.
    """
    place = Path(path)
    writer = Writer(load_registry(), place, timetable)
    return write_table({**writer.file(what), **writer.plugins(plugins)}, place)


def write_table(data: dict[str, Any], path: Path) -> Path:
    """Write a table as TOML or JSON, as the ending of its file says.

    Raises:
        InputError: Another ending, or the file cannot be written.
    """
    if path.suffix.lower() == ".json":
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    elif path.suffix.lower() == ".toml":
        text = to_toml(data)
    else:
        raise InputError(f"{path}: the ending must be .toml or .json")
    try:
        written = text.encode()
    except ValueError as error:  # a path that is no Unicode
        raise InputError(f"{path} cannot be written: {error}") from error
    write_whole(written, path)
    return path


def _file(path: Path) -> WholeTable:
    data = read_table(path)
    if "edit" in data:
        raise StrategyError(
            f"{path} is a chain of edits; read it with load_chain, or run it with refhooks chain"
        )
    table: WholeTable = as_table(WholeTable, data, str(path))
    return table


def as_table(cls: type[Any], data: Any, label: str) -> Any:
    """Read one table; nested ones stay as they are, so that each error knows where it is."""
    known = [field.name for field in attrs.fields(cls)]
    if not isinstance(data, dict):
        raise StrategyError(f"{label} must be a table with {listed(known)}, got {data!r:.80}")
    try:
        return _converter.structure(data, cls)
    except cattrs.ForbiddenExtraKeysError as error:
        key = next(key for key in data if key in error.extra_fields)
        near = did_you_mean(key, known)
        hint = "" if near else _where_options_go(data, key)
        raise StrategyError(
            f"{label}: unknown key {key!r:.80}.{near} Keys: {listed(known)}{hint}"
        ) from error


def _where_options_go(data: dict[str, Any], key: str) -> str:
    """A method's option beside the method, instead of in its table, is the likeliest mistake."""
    method = data.get("method")
    if not isinstance(method, str):
        return ""
    table = f'{{ method = "{method:.40}", {key:.40} = ... }}'
    return f". An option of the method goes into its table: method = {table}"


@contextlib.contextmanager
def at_label(label: str) -> Iterator[None]:
    try:
        yield
    except UnknownNameError as error:
        raise UnknownNameError(f"{label}: {error}") from error
    except InputError as error:
        raise StrategyError(f"{label}: {error}") from error


@attrs.frozen
class Loader:
    registry: Registry
    path: Path

    def references(self, tables: Any) -> tuple[Reference, ...]:
        return tuple(
            self._reference(entry, f"reference {number}")
            for number, entry in enumerate(self._list(tables, "reference", ""), 1)
        )

    def strategy(self, table: FileTable | ReferenceTable, label: str) -> Strategy:
        place = f"{label}, " if label else ""
        stages = [
            self._stage(entry, f"{place}stage {number}")
            for number, entry in enumerate(self._list(table.stage, "stage", place), 1)
        ]
        masks = self._masks(table.mask, place)
        with at_label(self._label(label)):
            return Strategy(stages, vision=table.vision, masks=masks)

    def plugins(self, tables: Any) -> tuple[RunPlugin, ...]:
        """Return the run plugins that tables describe."""
        if tables is None:
            return ()
        return tuple(
            self._plugin(entry, f"plugin {number}")
            for number, entry in enumerate(self._list(tables, "plugin", ""), 1)
        )

    def _plugin(self, data: Any, label: str) -> RunPlugin:
        with at_label(self._label(label)):
            if not isinstance(data, dict):
                raise StrategyError(f"must be a table with the key 'plugin', got {data!r:.80}")
            made: RunPlugin = self._made(data, "plugin", self.registry.plugin)
            return made

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
                f"{self._label(label)}: image must be a picture's path, got {table.image!r:.80}"
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
            raise StrategyError(f"{kind} must be a registered name, got {name!r:.80}")
        return make(name, options)

    def _list(self, data: Any, key: str, place: str) -> list[Any]:
        if not isinstance(data, list) or not data:
            where = f"{self.path}: {place}".rstrip(", ")
            raise StrategyError(
                f"{where.rstrip(':')}: there is no [[{key}]]"
                + ("" if data is None else f"; {key} is {data!r:.80}")
            )
        return data

    def _label(self, label: str) -> str:
        return f"{self.path}: {label}" if label else str(self.path)
