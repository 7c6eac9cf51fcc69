"""What a reference gives the model at each step of a timetable, before anything is loaded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._apps.forecast.planned import Native
from refhooks._base.size import Size
from refhooks._core.contract.outlook import PlannedStage
from refhooks._core.planning.foresight import outlook_of
from refhooks._core.planning.strategy import as_strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.model_shape import ModelShape
    from refhooks._core.contract.outlook import Outlook
    from refhooks._core.contract.values import Row
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.edit_plan import PlannedInside
    from refhooks._core.planning.strategy import Reference, Stage, Strategy
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.plugins.registry import Registry

Grid = tuple[int, int]


@attrs.frozen
class TokenUse:
    """Tokens of one reference at one step.

    Attributes:
        computed: Run through the model.
        attended: Whose keys are attended to: more than ``computed`` where those of an earlier step
            are.
        cached: Whose keys and values lie in memory for later steps.
        extra_passes: One entry for each forward pass that is added: tokens that are given in it.
        anew: Whether they are not those that it gave at the step before.
    """

    computed: float
    attended: float
    cached: float
    extra_passes: tuple[float, ...]
    anew: bool = False


def token_use_of(
    registry: Registry, place: int, reference: Reference, timetable: Timetable, grid: Grid
) -> list[TokenUse]:
    """Return what a reference gives at each step.

    Args:
        registry: Its methods are named from it.
        place: 0-based position of the reference.
        reference: With its strategy.
        timetable: Of the run.
        grid: Rows and columns of the reference's tokens.

    Raises:
        InputError: A content mask cannot be laid on the picture.
        PluginError: A method says nonsense of its outlook.
    """
    strategy = as_strategy(reference.strategy, Native.name)
    rows = tuple(planned.rows[place] for planned in timetable.steps)
    outlooks = [
        _outlook(registry, entry, PlannedStage(place, number, rows))
        for number, entry in enumerate(strategy.stages)
    ]
    whole = _unmasked(strategy, place, reference, rows, grid)
    uses = []
    for index, (row, tokens) in enumerate(zip(rows, whole, strict=True)):
        if row.strength == 0.0:
            uses.append(TokenUse(0.0, 0.0, 0.0, ()))
            continue
        outlook = outlooks[row.stage]
        attended = tokens * (1.0 if outlook.tokens is None else outlook.tokens[index])
        reused = index in outlook.reused
        uses.append(
            TokenUse(
                computed=0.0 if reused else attended,
                attended=attended,
                cached=attended if outlook.reused else 0.0,
                anew=any(index in each.rescaled for each in outlooks),
                extra_passes=tuple(
                    tokens * share for step, share in outlook.added if step == index
                ),
            )
        )
    return uses


def with_reuse(
    uses: Sequence[Sequence[TokenUse]], planned: PlannedInside | None
) -> list[list[TokenUse]]:
    """Return what each reference gives at each step, where it is read from an earlier one."""
    if planned is None or planned.inside.reuse == 1:
        return [[*each] for each in uses]
    steps = range(len(uses[0]))
    reused = frozenset(step for step in steps if step % planned.inside.reuse)
    return reading(uses, reused, [len(near) for near in planned.near])


def reading(
    uses: Sequence[Sequence[TokenUse]], reused: frozenset[int], near: Sequence[int]
) -> list[list[TokenUse]]:
    """Return what each reference gives at each step, where some read it from an earlier one.

    Args:
        uses: What it gives where none does.
        reused: The steps that do.
        near: Tokens of each reference that are computed all the same.
    """
    if not reused:
        return [[*each] for each in uses]
    return [
        [
            attrs.evolve(
                use,
                computed=min(own, use.computed) if step in reused else use.computed,
                cached=max(use.cached, use.attended),
            )
            for step, use in enumerate(each)
        ]
        for each, own in zip(uses, near, strict=True)
    ]


def grid_of(reference: Reference, shape: ModelShape, editor: LoadedModel | None) -> Grid:
    """Return the rows and columns of a reference's tokens, as far as they can be known.

    Raises:
        InputError: Its picture cannot be read.
    """
    area, picture = reference.resolution, reference.image != ""
    if picture and (editor is not None or area == "native" or _hides(reference)):
        from refhooks._core.planning.input_pictures import open_picture  # noqa: PLC0415

        opened = open_picture(reference.image)
        if editor is not None:
            grid: tuple[int, int] = editor.family.grid(
                editor.family.reference_size(opened.picture, area)
            )
            return grid
        if area == "native":
            size = opened.size
            return -(-size.height // shape.pixels), -(-size.width // shape.pixels)
        ratio = opened.size.height / opened.size.width
    else:
        ratio = 1.0
    tokens = area / shape.pixels**2 if isinstance(area, int) else shape.reference
    return max(1, round(math.sqrt(tokens * ratio))), max(1, round(math.sqrt(tokens / ratio)))


def _hides(reference: Reference) -> bool:
    masks = getattr(reference.strategy, "masks", ())
    return any(mask.kind == "content" for mask in masks)


def _outlook(registry: Registry, stage: Stage, planned: PlannedStage) -> Outlook:
    """What the method of a stage foresees; one that foresees nothing gives all tokens, or none."""
    method: Any = stage.method
    if isinstance(method, str):
        method = Native() if method == Native.name else registry.method(method)
    outlook = outlook_of(method, planned, registry)
    if not getattr(method, "gives_tokens", True):
        return attrs.evolve(outlook, tokens=(0.0,) * len(planned.rows))
    return outlook


def _unmasked(
    strategy: Strategy, place: int, reference: Reference, rows: Sequence[Row], grid: Grid
) -> list[int]:
    """How many of a reference's tokens its content masks leave at each step."""
    places = [number for number, mask in enumerate(strategy.masks) if mask.kind == "content"]
    whole = [math.prod(grid)] * len(rows)
    if not places:
        return whole
    import torch  # noqa: PLC0415  takes a second, and only masks need it

    from refhooks._core.masks.layout import Grids, compositor_of, cover_masks  # noqa: PLC0415
    from refhooks._core.planning.input_pictures import open_picture  # noqa: PLC0415

    own = Size(16 * grid[0], 16 * grid[1])
    if reference.image != "":
        own = open_picture(reference.image).size
    covered = cover_masks([strategy.masks[number] for number in places], place, own, own)
    compositor = compositor_of(place, covered, Grids(own, grid, grid, torch.device("cpu")))
    if compositor is None:
        return whole
    keeps = [compositor.keep(tuple(row.masks[number] for number in places)) for row in rows]
    return [math.prod(grid) if keep is None else len(keep) for keep in keeps]
