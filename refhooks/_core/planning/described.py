"""The area and the tokens of each reference, told at every step of a timetable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import torch

from refhooks._core.masks.layout import Grids, compositor_of
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._base.size import Size
    from refhooks._core.contract.family import Family
    from refhooks._core.contract.values import Row
    from refhooks._core.masks.compositing import MaskCompositor
    from refhooks._core.planning.edit_plan import PlannedReference
    from refhooks._core.planning.timetable import Timetable


def describe(
    timetable: Timetable,
    family: Family,
    references: Sequence[PlannedReference],
    output: Size,
) -> Timetable:
    """Return the timetable with the area of each reference and the tokens that it gives.

    Raises:
        InputError: The masks of a reference leave it nothing at any step at which it acts.
    """
    compositors, counts = [], []
    for slot, reference in enumerate(references):
        own = family.grid(reference.size) if reference.size and reference.gives_tokens else None
        grids = Grids(output, family.grid(output), own, torch.device("cpu"))
        compositors.append(compositor_of(slot, reference.masks, grids))
        _check_something(slot, compositors[-1], timetable)
        counts.append(0 if own is None else own[0] * own[1])

    def described(row: Row) -> Row:
        slot = row.reference
        method, compositor = references[slot].methods[row.stage], compositors[slot]
        acts = row.strength > 0 and getattr(method, "gives_tokens", True)
        keep = None if compositor is None else compositor.keep(row.masks)
        tokens = counts[slot] if keep is None else len(keep)
        area = None
        if compositor is not None and compositor.has_region:
            area = float(compositor.region(row.masks).mean())
        return attrs.evolve(row, area=area, tokens=tokens if acts else 0)

    return attrs.evolve(
        timetable,
        steps=tuple(
            attrs.evolve(step, rows=tuple(described(row) for row in step.rows))
            for step in timetable.steps
        ),
    )


def _check_something(slot: int, compositor: MaskCompositor | None, timetable: Timetable) -> None:
    rows = [step.rows[slot] for step in timetable.steps if step.rows[slot].strength > 0.0]
    if compositor is not None and rows and all(compositor.nothing(row.masks) for row in rows):
        raise InputError(
            f"reference {slot + 1}: its masks multiply, and no place or part is covered by all of"
            " them, so the reference could do nothing; let them overlap, or draw them as one mask"
        )
