"""Strategies as TOML and JSON files, there and back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from refhooks._apps.files.loader import Loader, WholeTable
from refhooks._apps.files.structuring import as_table, write_table
from refhooks._apps.files.writer import Writer
from refhooks._base.files import as_path
from refhooks._base.tables import read_table
from refhooks._core.planning.strategy import Reference, Strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import StrategyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from refhooks._core.contract.methods import RunPlugin
    from refhooks._core.planning.timetable import Timetable

__all__ = ["dump_strategy", "load_plugins", "load_references", "load_strategy"]

LOG = logging.getLogger("refhooks")


@attrs.frozen
class StrategyFile:
    """What a strategy file holds.

    Attributes:
        what: The strategy of one picture, or references with theirs.
        plugins: Run plugins of the edit.
    """

    what: Strategy | tuple[Reference, ...]
    plugins: tuple[RunPlugin, ...]


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
    steering = _steering(as_path(path))
    if not isinstance(steering, Strategy):
        raise StrategyError(
            f"{path} lists references with pictures of their own; read it with load_references"
        )
    return steering


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
    steering = _steering(as_path(path))
    if isinstance(steering, Strategy):
        raise StrategyError(
            f"{path} has no [[reference]]: it is the strategy of one picture given elsewhere; read"
            " it with load_strategy"
        )
    return steering


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
    place = as_path(path)
    file, loader = _file(place), Loader(load_registry(), place)
    plugins = loader.plugins(file.plugin)
    if file.reference is None:
        return StrategyFile(loader.strategy(file, ""), plugins)
    if file.stage is not None or file.mask is not None or file.vision != "auto":
        raise StrategyError(f"{path}: stage, mask and vision belong into a [[reference]] of it")
    return StrategyFile(loader.references(file.reference), plugins)


def _steering(path: Path) -> Strategy | tuple[Reference, ...]:
    """What a file says of references."""
    contents = load_file(path)
    if contents.plugins:
        LOG.info("%s names run plugins as well: edit(plugins=refhooks.load_plugins(...))", path)
    return contents.what


def dump_strategy(
    what: Strategy | Sequence[Reference],
    path: str | Path,
    *,
    plugins: Sequence[RunPlugin] = (),
    timetable: Timetable | None = None,
) -> Path:
    """Write a strategy, or references with theirs, to a file that reads back as the same values.

    Args:
        what: What to write. Pictures that lie in the file's folder, and those whose paths are
            relative, are written relative to the file; others by their whole path.
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
    place = as_path(path)
    writer = Writer(load_registry(), place, timetable)
    return write_table({**writer.file(what), **writer.plugins(plugins)}, place)


def _file(path: Path) -> WholeTable:
    data = read_table(path)
    if "edit" in data:
        raise StrategyError(
            f"{path} is a chain of edits; read it with load_chain, or run it with refhooks chain"
        )
    table: WholeTable = as_table(WholeTable, data, str(path))
    return table
