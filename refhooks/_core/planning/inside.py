"""What ``compute="inside"`` leaves out of an edit, and where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import torch

from refhooks._attending.partial import check_parts, remark_on_parts
from refhooks._base.coverage import resized, touched
from refhooks._base.neighbours import around
from refhooks._core.planning.edit_plan import PlannedInside
from refhooks._core.planning.factories import as_mask
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks._base.canvas import Canvas, Cut
    from refhooks._base.size import Size
    from refhooks._core.contract.family import Family
    from refhooks._core.contract.inside import Inside
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.request import Request

COMPUTE = "compute='inside'"


def reuses(inside: Inside | None) -> bool:
    """Return whether keys and values of earlier steps are read."""
    return inside is not None and inside.reuse > 1


def with_inside(loaded: LoadedModel, request: Request, plan: Plan) -> Plan:
    """Return a plan with what is computed of a local edit, and a remark that says so.

    Raises:
        InputError: As :func:`plan_inside` does.
    """
    for plugin, label in plan.plugins:
        own = None if isinstance(plugin, PlannedInside) else getattr(plugin, "inside", None)
        if own is not None:
            check_parts(loaded.family, own, label, label)
            _check_edit(plan, own, label, label)
    inside = plan_inside(loaded, request, plan)
    others = tuple(entry for entry in plan.plugins if not isinstance(entry[0], PlannedInside))
    if inside is None:
        return attrs.evolve(plan, inside=None, plugins=others)
    steps = plan.timetable.steps
    tokens = [
        max(step.rows[slot].tokens or 0 for step in steps) for slot in range(len(inside.near))
    ]
    passes = 2 if plan.guidance.scale > 1 and loaded.family.guidance_kind == "true" else 1
    each = loaded.family.token_bytes
    size = None if each is None else each * passes * len(request.batch_seeds) * sum(tokens)
    remark = remark_on_parts(
        inside.inside,
        (inside.computed, inside.tokens),
        sum(map(len, inside.near)),
        len(steps),
        size,
    )
    timetable = attrs.evolve(plan.timetable, remarks=(*plan.timetable.remarks, remark))
    plugins = (*others, (inside, inside.name))
    return attrs.evolve(plan, inside=inside, timetable=timetable, plugins=plugins)


def plan_inside(loaded: LoadedModel, request: Request, plan: Plan) -> PlannedInside | None:
    """Return what is computed of an edit; ``None``: all of it.

    Raises:
        InputError: The model, as it is loaded, or something of the edit needs the whole target.
    """
    inside, source = request.compute, plan.source
    if inside is None or source is None:
        return None
    check_parts(loaded.family, inside, COMPUTE, "compute")
    _check_edit(plan, inside, COMPUTE, "compute")
    mask = as_mask(loaded.registry, request.edit_mask, "edit_mask")
    cover = mask.cover(source.size)
    target = _on_grid(loaded.family, cover, source.canvas, plan.size)
    near = []
    for reference in plan.references:
        same = zip(reference.opened.pictures, source.pictures, strict=False)
        lies_there = reference.gives_tokens and all(one is other for one, other in same)
        if inside.near is None or reference.size is None or not lies_there:
            near.append(torch.zeros(0, dtype=torch.int64))
        else:
            own = _on_grid(loaded.family, cover, reference.opened.canvas, reference.size)
            near.append(around(own, inside.near))
    planned = planned_of(inside, target, near)
    return None if planned.keep is None and inside.reuse == 1 else planned


def planned_of(inside: Inside, cover: Tensor, near: Sequence[Tensor]) -> PlannedInside:
    """Return what is computed of a target whose tokens a mask covers so, ``[rows,columns]``."""
    keep = around(cover, inside.halo)
    whole = len(keep) == cover.numel()
    return PlannedInside(inside, None if whole else keep, cover.numel(), tuple(near))


def _on_grid(family: Family, cover: Tensor, canvas: Canvas | Cut | None, size: Size) -> Tensor:
    """The cover of each token of a picture, as an edit mask has it, ``[rows,columns]``."""
    spread = cover if canvas is None else canvas.spread(cover)
    return touched(resized(spread, size.height, size.width), *family.grid(size))


def _check_edit(plan: Plan, inside: Inside, what: str, name: str) -> None:
    methods = [method for reference in plan.references for method in reference.methods]
    named = [(method.name, method) for method in methods]
    for other, it in [*named, *((label, plugin) for plugin, label in plan.plugins)]:
        if other != what and getattr(it, "needs_whole_target", False):
            raise InputError(f"{what}: {other} needs the whole target; leave {name} out")
    rows = [row for planned in plan.timetable.steps for row in planned.rows]
    if inside.reuse > 1 and any(row.reused for row in rows):
        other = next(row.method for row in rows if row.reused)
        raise InputError(
            f"{what}: {other} keeps keys and values of earlier steps itself; leave out"
            f" either its reuse, or reuse={inside.reuse}"
        )
