"""The scorecard: one value a scene for every cell and measure, and what follows from them."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Final

import attrs
import numpy as np

from refhooks._base.files import as_path, write_whole
from refhooks._base.names import did_you_mean, listed
from refhooks.errors import InputError, UnknownNameError
from refhooks.score._card_file import FORMAT, VERSION, read_card
from refhooks.score._cell import CONSTANT
from refhooks.score._measures import interval

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from refhooks.score._card_parts import Scene, Score
    from refhooks.score._cell import Settings
    from refhooks.score._measures import Interval

    Array = npt.NDArray[np.float64]

MEASURES: Final = ("done", "kept", "edges", "copied", "attention")
"""Those that every run takes; ``attention`` where it is recorded."""

ALL = "all"


@attrs.frozen
class Scorecard:
    """What was measured of cells on scenes.

    Attributes:
        model: What the model calls itself.
        settings: With the steps and the guidance that the model gave where none were named.
        scenes: In the order of every cell's values.
        cells: In the order in which they were given.
        ceiling: By measure of *kept*, what the autoencoder alone keeps of each scene's source;
            empty where it was not measured.
    """

    model: str
    settings: Settings
    scenes: tuple[Scene, ...] = attrs.field(repr=False)
    cells: tuple[Score, ...] = attrs.field(repr=False)
    ceiling: dict[str, tuple[float | None, ...]] = attrs.field(factory=dict, repr=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of edit, in the order of the scenes."""
        return tuple(dict.fromkeys(scene.kind for scene in self.scenes))

    @property
    def pooled(self) -> tuple[str, ...]:
        """The kinds that figures over all kinds are about.

        Those whose scenes bring no references of their own; if there are none, all.
        """
        own = {scene.kind for scene in self.scenes if scene.references}
        return tuple(kind for kind in self.kinds if kind not in own) or self.kinds

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures of which there is any value."""
        known = dict.fromkeys([*MEASURES, *(name for cell in self.cells for name in cell.values)])
        measured = {
            name
            for cell in self.cells
            for name, row in cell.values.items()
            if any(value is not None for value in row)
        }
        return tuple(name for name in known if name in measured)

    def cell(self, name: str) -> Score:
        """Return a cell.

        Raises:
            UnknownNameError: There is none of that name.
        """
        for cell in self.cells:
            if cell.name == name:
                return cell
        names = [cell.name for cell in self.cells]
        raise UnknownNameError(
            f"the scorecard has no cell {name!r}.{did_you_mean(name, names)} Cells: {listed(names)}"
        )

    def values(self, cell: str, measure: str, kinds: str | Sequence[str] | None = None) -> Array:
        """Return one value a scene, ``[N]``, NaN where it is absent; aligned between cells.

        Args:
            cell: Its name.
            measure: Such as ``done``.
            kinds: Of which the scenes are; ``None``: those of :attr:`pooled`.

        Raises:
            UnknownNameError: There is no such cell, measure or kind.
        """
        row = self.cell(cell).values
        known = [*MEASURES, *(name for it in self.cells for name in it.values)]
        if measure not in known:
            raise UnknownNameError(
                f"no measure {measure!r}.{did_you_mean(measure, known)} There are"
                f" {listed(dict.fromkeys(known))}"
            )
        chosen = self._kinds(kinds)
        return self._column(row.get(measure, (None,) * len(self.scenes)), chosen)

    def most(self, measure: str, kinds: str | Sequence[str] | None = None) -> Interval | None:
        """Return the ceiling of a measure: its mean and interval for the autoencoder alone.

        Args:
            measure: Such as ``kept_ssim``.
            kinds: As for :meth:`values`.

        Returns:
            ``None``: it was not measured.

        Raises:
            UnknownNameError: There is no such kind.
        """
        chosen = self._kinds(kinds)
        row = self.ceiling.get(measure)
        return None if row is None else _interval(self._column(row, chosen))

    def _column(self, row: Sequence[float | None], chosen: Sequence[str]) -> Array:
        return np.array(
            [
                np.nan if value is None else value
                for value, scene in zip(row, self.scenes, strict=True)
                if scene.kind in chosen
            ],
            dtype=np.float64,
        )

    def _kinds(self, kinds: str | Sequence[str] | None) -> tuple[str, ...]:
        if kinds is None:
            return self.pooled
        chosen = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        for kind in chosen:
            if kind not in self.kinds:
                raise UnknownNameError(
                    f"no scene is of the kind {kind!r}.{did_you_mean(kind, self.kinds)} Kinds:"
                    f" {listed(self.kinds)}"
                )
        return chosen

    def interval(
        self, cell: str, measure: str, kinds: str | Sequence[str] | None = None
    ) -> Interval | None:
        """Return the mean and its 95 % bootstrap interval; ``None``: no scene has it.

        Args and errors are those of :meth:`values`.
        """
        return _interval(self.values(cell, measure, kinds))

    def difference(
        self, cell: str, other: str, measure: str, kinds: str | Sequence[str] | None = None
    ) -> Interval | None:
        """Return the mean of ``cell − other``, paired by scene, with its 95 % interval.

        Over the scenes where both have a value; otherwise as :meth:`interval`.
        """
        return _interval(self.values(cell, measure, kinds) - self.values(other, measure, kinds))

    def merged(self, other: Scorecard) -> Scorecard:
        """Return the cells of both; those of ``other`` replace equal names.

        Raises:
            InputError: They are of other scenes or of another model.
        """
        if (self.model, self.scenes) != (other.model, other.scenes):
            raise InputError("only scorecards of one model on the same scenes can be merged")
        cells = {cell.name: cell for cell in (*self.cells, *other.cells)}
        return attrs.evolve(self, cells=tuple(cells.values()))

    def save_json(self, path: str | Path) -> Path:
        """Write everything, with the intervals for those who only read it.

        Raises:
            InputError: The file cannot be written.
        """
        card = {"format": FORMAT, "version": VERSION, **attrs.asdict(self)}
        for cell, table in zip(self.cells, card["cells"], strict=True):
            table["intervals"] = {
                kind: {
                    measure: attrs.asdict(estimate)
                    for measure in self.measures
                    if (estimate := self.interval(cell.name, measure, only)) is not None
                }
                for kind, only in [(ALL, None), *((kind, kind) for kind in self.kinds)]
            }
        text = json.dumps(card, ensure_ascii=False, allow_nan=False) + "\n"
        write_whole(text.encode(), as_path(path))
        return as_path(path)

    @classmethod
    def read_json(cls, path: str | Path) -> Scorecard:
        """Read what :meth:`save_json` wrote.

        Args:
            path: At most 256 MiB, a million scenes and 100,000 cells.

        Raises:
            InputError: It cannot be read, is no scorecard of this version, or holds a value of
                another type or beyond its range, two cells of one name, or not one value a scene.
        """
        table = read_card(path)
        return cls(table.model, table.settings, table.scenes, table.cells, table.ceiling)

    def save_csv(self, path: str | Path) -> Path:
        """Write a row for each cell and kind, and for the kinds together (``all``).

        Raises:
            InputError: The file cannot be written.
        """
        labels = ("name", "method", "strength", "schedule", "denoise", "steps", "cfg", "seed")
        parts = ("mean", "low", "high", "count")
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        measured = [f"{name}_{part}" for name in self.measures for part in parts]
        rows.writerow(["cell", *labels[1:], "kind", *measured])
        for cell in self.cells:
            told = [getattr(cell, label) for label in labels]
            for kind, only in [(ALL, None), *((kind, kind) for kind in self.kinds)]:
                intervals = [self.interval(cell.name, name, only) for name in self.measures]
                if not any(intervals):
                    continue
                figures = [
                    "" if it is None else getattr(it, part) for it in intervals for part in parts
                ]
                rows.writerow(["" if it is None else it for it in (*told, kind, *figures)])
        write_whole(text.getvalue().encode(), as_path(path))
        return as_path(path)

    def curve(
        self, method: str, measure: str, kinds: str | Sequence[str] | None = None
    ) -> list[tuple[float, Interval]]:
        """Return a measure over strength, of a method's cells of constant strength at denoise 1."""
        points = [
            (cell.strength, estimate)
            for cell in self.cells
            if cell.method == method
            and cell.strength is not None
            and (cell.schedule, cell.denoise) == (CONSTANT, 1.0)
            and (estimate := self.interval(cell.name, measure, kinds)) is not None
        ]
        return sorted(points, key=lambda point: point[0])


def _interval(values: Array) -> Interval | None:
    present = values[~np.isnan(values)]
    return interval(present) if len(present) else None
