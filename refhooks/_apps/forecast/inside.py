"""What ``compute="inside"`` leaves of the work, before anything is loaded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from refhooks._base.size import Size
from refhooks._core.contract.inside import as_inside
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.model_shape import ModelShape
    from refhooks._core.planning.edit_plan import PlannedInside
    from refhooks._core.planning.strategy import Reference
    from refhooks._core.plugins.registry import Registry

    Grid = tuple[int, int]

__all__ = ["check_inside", "inside_of", "target_grid"]


def check_inside(edit_mask: Any, compute: Any) -> None:
    """Refuse what ``edit()`` would.

    Raises:
        InputError: ``compute`` is nothing that there is, or has no edit mask.
    """
    if as_inside(compute) is not None and edit_mask is None:
        raise InputError(
            "compute='inside' needs an edit mask, which says where the picture may change; give"
            " edit_mask, or leave compute out"
        )


def inside_of(
    registry: Registry,
    references: Sequence[Reference],
    shape: ModelShape,
    target: Grid,
    grids: Sequence[Grid],
    edit_mask: Any,
    compute: Any,
) -> PlannedInside | None:
    """Return what is computed of an edit, as far as it can be known; ``None``: all of it.

    The mask lies on the first reference's picture, or where that is not given on one of the
    output's size.

    Raises:
        InputError: The mask cannot be used, or the model keeps keys and values itself.
    """
    check_inside(edit_mask, compute)
    inside = as_inside(compute)
    if inside is None:
        return None
    if inside.reuse > 1 and shape.keeps_prefix:
        raise InputError(
            f"compute='inside': {shape.name} keeps the keys and values of references itself, and"
            f" exactly, so reuse={inside.reuse} would do nothing; leave reuse and near out"
        )
    import torch  # noqa: PLC0415  takes a second

    from refhooks._base.coverage import touched  # noqa: PLC0415
    from refhooks._base.neighbours import around  # noqa: PLC0415
    from refhooks._core.planning.factories import as_mask  # noqa: PLC0415
    from refhooks._core.planning.input_pictures import open_picture  # noqa: PLC0415
    from refhooks._core.planning.inside import planned_of  # noqa: PLC0415

    frame = Size(target[0] * shape.pixels, target[1] * shape.pixels)
    if references[0].image != "":
        frame = open_picture(references[0].image).size
    cover = as_mask(registry, edit_mask, "edit_mask").cover(frame)
    near = [torch.zeros(0, dtype=torch.int64) for _ in grids]
    if inside.near is not None:
        near[0] = around(touched(cover, *grids[0]), inside.near)
    return planned_of(inside, touched(cover, *target), near)


def target_grid(shape: ModelShape, height: int | None, width: int | None) -> Grid:
    """Return rows and columns of the output's tokens; a square where no size is given."""
    if height is not None and width is not None:
        return max(1, height // shape.pixels), max(1, width // shape.pixels)
    rows = max(1, math.isqrt(shape.target))
    return rows, shape.target // rows
