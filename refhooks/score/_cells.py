"""Which cells are scored: methods over strengths, denoise, schedules and switches, or a file's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.files.loader import FileTable, Loader
from refhooks._apps.files.structuring import as_table, at_label
from refhooks._base.files import as_path
from refhooks._base.names import listed
from refhooks._base.shown import shown
from refhooks._base.tables import read_table
from refhooks._core.planning.compilation import method_name
from refhooks._core.planning.strategy import Stage, Strategy
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import InputError, StrategyError
from refhooks.score._cell import CONSTANT, Cell

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from refhooks._core.contract.methods import Method

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0)
DENOISE = (0.3, 0.5, 0.7, 0.9)
LOW, HIGH = 0.4, 1.2  # of what rises and falls: around the model's own balance
HALF = 0.5
MOST = 10_000


def strength_cells(
    methods: Sequence[str | Method],
    strengths: Sequence[float] = STRENGTHS,
    denoise: Sequence[float] = DENOISE,
    *,
    schedules: bool = True,
    switches: bool = True,
    attention: bool = False,
) -> tuple[Cell, ...]:
    """Return the cells that show what strength does.

    Every method at every strength; at strength 1 with every ``denoise``; with a strength that rises
    from 0.4 to 1.2, evenly and as a cosine, falls likewise, or is 1 in one half of the run and 0 in
    the other; and every method for the first half with every other one for the second.

    Args:
        methods: Names or instances.
        strengths: 0–2.
        denoise: Above 0; 1 is what all other cells have.
        schedules: Whether there are cells whose strength changes.
        switches: Whether there are cells whose method changes.
        attention: Whether the attention share is recorded.

    Raises:
        InputError: A number is out of its range.
    """
    cells = []
    for method in methods:
        name = method_name(method)
        cells += [
            Cell(f"{name} {it:g}", Stage(method, it), method=name, strength=it) for it in strengths
        ]
        cells += [
            Cell(f"{name} 1 denoise {it:g}", Stage(method, 1.0), denoise=it, method=name,
                 strength=1.0)
            for it in denoise if it != 1.0
        ]  # fmt: skip
        if schedules:
            cells += [
                Cell(f"{name} {label}", strategy, method=name, schedule=label)
                for label, strategy in _changing(method).items()
            ]
    if switches:
        cells += _switching(methods)
    return tuple(attrs.evolve(cell, attention=attention) for cell in cells)


def _changing(method: str | Method) -> dict[str, Strategy]:
    return {
        "rising": Strategy(Stage(method, f"{LOW:g}:{HIGH:g}")),
        "falling": Strategy(Stage(method, f"{HIGH:g}:{LOW:g}")),
        "cosine": Strategy(Stage(method, f"{LOW:g}:{HIGH:g}:cosine")),
        "early": Strategy([Stage(method, 1.0, until=HALF), Stage(method, 0.0)]),
        "late": Strategy([Stage(method, 0.0, until=HALF), Stage(method, 1.0)]),
    }


def _switching(methods: Sequence[str | Method]) -> list[Cell]:
    return [
        Cell(
            f"{method_name(first)} then {method_name(second)}",
            Strategy([Stage(first, 1.0, until=HALF), Stage(second, 1.0)]),
            method=f"{method_name(first)} then {method_name(second)}",
            schedule="switch",
        )
        for first in methods
        for second in methods
        if method_name(first) != method_name(second)
    ]


@attrs.frozen
class _CellTable:
    """``[[cell]]``, as it stands in a file."""

    name: Any = None
    method: Any = None
    strength: Any = None
    vision: Any = "auto"
    stage: Any = None
    mask: Any = None
    denoise: Any = 1.0
    steps: Any = None
    cfg: Any = None
    seed: Any = 0
    attention: Any = False
    kinds: Any = None
    plugin: Any = None


@attrs.frozen
class _CellsTable:
    """A whole file."""

    cell: Any = None


def read_cells(path: str | Path) -> tuple[Cell, ...]:
    """Return the cells of a file with ``[[cell]]``.

    Each has a ``name`` and either ``method`` and ``strength`` or ``[[cell.stage]]`` tables, as in a
    strategy file, and may have ``vision``, ``[[cell.mask]]``, ``[[cell.plugin]]`` and the fields
    ``denoise``, ``steps``, ``cfg``, ``seed``, ``attention`` and ``kinds`` of :class:`Cell`.

    Args:
        path: Ends in .toml or .json; at most 1 MiB. Pictures of masks are relative to its folder.

    Raises:
        StrategyError: The file cannot be read, or a cell is none; the message names file, cell and
            key.
        UnknownNameError: It names what no live plugin registers.
    """
    place = as_path(path)
    table: _CellsTable = as_table(_CellsTable, read_table(place), str(place))
    if not isinstance(table.cell, list) or not 0 < len(table.cell) <= MOST:
        raise StrategyError(f"{place}: there must be 1 to {MOST:,} [[cell]] tables")
    loader = _CellLoader(load_registry(), place)
    return tuple([loader.cell(data, f"cell {number}") for number, data in enumerate(table.cell, 1)])


@attrs.frozen
class _CellLoader(Loader):
    def cell(self, data: Any, label: str) -> Cell:
        where = self._label(label)
        table: _CellTable = as_table(_CellTable, data, where)
        if not isinstance(table.name, str) or not table.name.strip():
            raise StrategyError(f"{where}: name must be a text, got {shown(table.name)}")
        if not table.name.isprintable():
            raise StrategyError(f"{where}: name must be one line, got {shown(table.name)}")
        strategy = self._strategy(table, label)
        plugins = self.plugins(table.plugin, f"{label}, ")
        labels = _labels(strategy, alone=not plugins)
        with at_label(where):
            return Cell(
                table.name, strategy, denoise=table.denoise, steps=table.steps,
                cfg=table.cfg, seed=table.seed, attention=_flag(table.attention),
                kinds=table.kinds, plugins=plugins, **labels,
            )  # fmt: skip

    def _strategy(self, table: _CellTable, label: str) -> Strategy:
        where = self._label(label)
        short = {
            name: value
            for name in ("method", "strength")
            if (value := getattr(table, name)) is not None
        }
        if short and table.stage is not None:
            raise StrategyError(
                f"{where}: {listed(short)} is short for one stage; with [[cell.stage]] tables, each"
                " has its own"
            )
        if not short and table.stage is None:
            raise StrategyError(f"{where}: give method and strength, or [[cell.stage]] tables")
        stages = [short] if table.stage is None else table.stage
        return self.strategy(FileTable(vision=table.vision, stage=stages, mask=table.mask), label)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"attention must be true or false, got {shown(value)}")
    return value


def _labels(strategy: Strategy, *, alone: bool) -> dict[str, Any]:
    """What tables and curves say of a strategy, alone or beside plugins."""
    names = list(dict.fromkeys(method_name(stage.method) for stage in strategy.stages))
    first = strategy.stages[0]
    plain = isinstance(first.method, str) and not strategy.masks and strategy.vision == "auto"
    plain = plain and alone
    if len(strategy.stages) == 1 and isinstance(first.strength, float):
        if not plain:  # it is not on the curve of its method
            return {"method": names[0], "schedule": CONSTANT}
        return {"method": names[0], "strength": first.strength, "schedule": CONSTANT}
    return {"method": " then ".join(names), "schedule": "switch" if len(names) > 1 else "changing"}
