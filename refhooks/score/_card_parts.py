"""The parts of a scorecard: its scenes, and what was measured of a cell."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Scene:
    """A pair, as a scorecard names it.

    Attributes:
        key: Of the pair.
        kind: Of edit.
        references: How many pictures it brings besides its source.
    """

    key: str
    kind: str
    references: int = 0


@attrs.frozen
class Score:
    """What was measured of one cell.

    Attributes:
        name, method, strength, schedule, denoise, steps, cfg, seed: Of the cell.
        strategy: How the source was steered, as tables of a strategy file; ``None`` where no file
            can hold it.
        values: By measure, one a scene of the scorecard; ``None`` where a measure needs what a
            scene lacks, or the cell was not run on its kind.
    """

    name: str
    method: str
    strength: float | None
    schedule: str
    denoise: float
    steps: int
    cfg: float
    seed: int
    strategy: dict[str, Any] | None = attrs.field(repr=False)
    values: dict[str, tuple[float | None, ...]] = attrs.field(repr=False)
