"""A timetable as lanes: what a notebook draws of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from refhooks._base.lanes import Block, Lane, options_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.values import Planned

__all__ = ["lanes_of"]


def lanes_of(steps: Sequence[Planned], plugins: Sequence[Any], strategies: Any = ()) -> list[Lane]:
    """Return a lane a reference, then one for each run plugin that has a strength.

    Args:
        steps: Those of a timetable.
        plugins: Likewise.
        strategies: Of the references, whose stages' options are written on the blocks; none are
            where it is empty.
    """
    lanes = []
    for number, _ in enumerate(steps[0].rows):
        rows = [planned.rows[number] for planned in steps]
        stages = strategies[number].stages if strategies else ()
        blocks = []
        for stage, run in itertools.groupby(enumerate(rows), lambda row: row[1].stage):
            first, *_, last = [place for place, _ in run] * 2
            more = options_text(stages[stage].method) if stages else ""
            blocks.append(Block(rows[first].method, first, last + 1, more))
        areas = tuple(1.0 if row.area is None else row.area for row in rows)
        strengths = tuple(row.strength for row in rows)
        lanes.append(Lane(f"Reference {number + 1}", strengths, tuple(blocks), areas))
    own = [(it.name, it.strengths, (Block(it.name, it.start, it.end),)) for it in plugins]
    return [*lanes, *[Lane(*it) for it in own if it[2][0].end > it[2][0].start]]
