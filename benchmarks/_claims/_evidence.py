"""What was measured, by cell, measure and scene, from as many scorecards as there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from refhooks.score import Scorecard

    Array = npt.NDArray[np.float64]

SAME_CELL = ("denoise", "steps", "cfg", "seed", "strategy")
ALIKE = 0.01  # two measurements of one cell differ by rounding only


def as_card(scored: Scorecard, group: str) -> dict[str, Any]:
    """Return a scorecard as claims.json holds it: values by measure and kind, five digits."""
    places: dict[str, list[int]] = {}
    for place, scene in enumerate(scored.scenes):
        places.setdefault(scene.kind, []).append(place)
    cells = []
    for it in scored.cells:
        values = {
            measure: {
                kind: [None if row[place] is None else round(row[place], 5) for place in at]
                for kind, at in places.items()
                if any(row[place] is not None for place in at)
            }
            for measure, row in it.values.items()
        }
        told = {name: getattr(it, name) for name in ("name", *SAME_CELL)}
        cells.append({**told, "values": {key: value for key, value in values.items() if value}})
    kinds = {kind: [scored.scenes[place].key for place in at] for kind, at in places.items()}
    return {"group": group, "kinds": kinds, "cells": cells}


@attrs.define
class Evidence:
    """Values of cells.

    Attributes:
        kinds: The keys of the scenes of each kind, in their order.
        counts: How many scenes a kind each group of cards has.
    """

    kinds: dict[str, list[str]] = attrs.field(factory=dict)
    counts: dict[str, int] = attrs.field(factory=dict)
    _cells: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    _values: dict[str, dict[str, dict[str, float]]] = attrs.field(factory=dict)
    _ran: dict[str, dict[str, set[str]]] = attrs.field(factory=dict)

    @classmethod
    def of(cls, cards: Sequence[Mapping[str, Any]]) -> Self:
        """Return what several cards hold together.

        Raises:
            InputError: Two cards are not of the same cells, scenes or model.
        """
        found = cls()
        for card in cards:
            found.add(card)
        return found

    def add(self, card: Mapping[str, Any]) -> None:
        """Take in what a card of :func:`as_card` holds."""
        for kind, keys in card["kinds"].items():
            held = self.kinds.setdefault(kind, list(keys))
            if not all(one == other for one, other in zip(held, keys, strict=False)):
                raise InputError(
                    f"two scorecards are of different scenes of {kind}; run them again"
                )
            held.extend(keys[len(held) :])
        if card["cells"]:
            self.counts[card["group"]] = max(map(len, card["kinds"].values()))
        for cell in card["cells"]:
            self._take(cell, card["kinds"])

    def _take(self, cell: Mapping[str, Any], kinds: Mapping[str, Sequence[str]]) -> None:
        name = cell["name"]
        told = {key: cell[key] for key in SAME_CELL}
        if self._cells.setdefault(name, told) != told:
            raise InputError(f"two scorecards mean different things by the cell {name!r}")
        ran = {key for rows in cell["values"].values() for kind in rows for key in kinds[kind]}
        for measure, rows in cell["values"].items():
            self._ran.setdefault(name, {}).setdefault(measure, set()).update(ran)
            held = self._values.setdefault(name, {}).setdefault(measure, {})
            fresh = {
                key: value
                for kind, row in rows.items()
                for key, value in zip(kinds[kind], row, strict=True)
                if value is not None
            }
            shared = [abs(held[key] - fresh[key]) for key in set(held) & set(fresh)]
            if shared and float(np.mean(shared)) > ALIKE:
                raise InputError(
                    f"two scorecards differ in {measure} of the cell {name!r} by"
                    f" {np.mean(shared):.3f} on average: they are of different weights or"
                    " methods; measure the older one again"
                )
            held.update(fresh)

    @property
    def names(self) -> tuple[str, ...]:
        """The cells of which there is anything."""
        return tuple(self._values)

    def has(self, cell: str, measure: str, keys: Sequence[str]) -> bool:
        """Return whether a cell was run on these scenes with a measure, defined there or not."""
        return set(keys) <= self._ran.get(cell, {}).get(measure, set()) and bool(keys)

    def keys(self, kinds: Sequence[str], scenes: str) -> list[str]:
        """Return the scenes of some kinds: ``main``, ``few``, ``more``, or ``fresh``: more − main.

        Raises:
            InputError: There are none.
        """
        main = self.counts.get("main", 0)
        start, stop = {
            "main": (0, main),
            "few": (0, self.counts.get("few", 0)),
            "more": (0, None),
            "fresh": (main, None),
        }[scenes]
        own = [kind for kind in kinds if kind in ("attention", "chain")]
        if own:
            start, stop = 0, None
        found = [key for kind in kinds for key in self.kinds.get(kind, [])[start:stop]]
        if not found:
            raise InputError(
                f"there are no {scenes} scenes of {', '.join(kinds)}: run benchmarks/claims.py run"
            )
        return found

    def values(self, cell: str, measure: str, keys: Sequence[str]) -> Array:
        """Return one value a scene, ``[N]``, NaN where there is none; ``a - b`` is a difference.

        Raises:
            InputError: The cell or the measure was not run.
        """
        if " - " in measure:
            one, other = measure.split(" - ")
            return self.values(cell, one, keys) - self.values(cell, other, keys)
        held = self._values.get(cell, {}).get(measure)
        if held is None:
            raise InputError(
                f"there is no {measure} of the cell {cell!r}: run benchmarks/claims.py run"
            )
        return np.array([held.get(key, np.nan) for key in keys], dtype=np.float64)
