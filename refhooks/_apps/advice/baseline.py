"""What a finished picture is compared with: its source, and where it was allowed to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._core.planning.factories import as_mask

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.masks.mask import Mask
    from refhooks._core.planning.edit_plan import Plan
    from refhooks._core.planning.request import Request
    from refhooks._core.plugins.registry import Registry

__all__ = ["Baseline", "baseline_of"]


@attrs.frozen(eq=False)
class Baseline:
    """The source of an edit.

    Attributes:
        pictures: As they were given; one for all results, or one for each.
        size: Of the output.
        edit_mask: Where the picture may change at all; ``None``: everywhere.
        regions: What the region masks of the references cover of the source, ``[height,width]``.
    """

    pictures: tuple[Image, ...]
    size: Size
    edit_mask: Mask | None = None
    regions: tuple[Tensor, ...] = ()

    def source(self, number: int = 0) -> Image:
        """Return the source of a result, resized to the output as an edit mask resizes it."""
        from PIL import Image  # noqa: PLC0415  import refhooks is quick

        picture = self.pictures[number if len(self.pictures) > 1 else 0]
        shape = (self.size.width, self.size.height)
        if picture.size == shape:
            return picture
        return picture.resize(shape, Image.Resampling.LANCZOS)

    def inside(self) -> Tensor | None:
        """Return where the edit, or else a reference, was to act; ``None``: there are no masks.

        Returns:
            ``[height,width]`` of the output, bool.
        """
        from refhooks._base.coverage import resized  # noqa: PLC0415  imports torch, a second
        from refhooks._base.size import Size  # noqa: PLC0415

        covers = list(self.regions)
        if self.edit_mask is not None:
            picture = self.pictures[0]
            covers = [self.edit_mask.cover(Size(picture.height, picture.width))]
        if not covers:
            return None
        areas = [resized(cover, self.size.height, self.size.width) > 0.0 for cover in covers]
        whole = areas[0]
        for cover in areas[1:]:
            whole = whole | cover
        return whole


def baseline_of(registry: Registry, request: Request, plan: Plan) -> Baseline | None:
    """Return what the results of a run are to be compared with; ``None`` without a source."""
    if plan.source is None:
        return None
    edit_mask = request.edit_mask
    return Baseline(
        pictures=plan.source.pictures,
        size=plan.exact,
        edit_mask=None if edit_mask is None else as_mask(registry, edit_mask, "edit_mask"),
        regions=tuple(
            entry.cover
            for reference in plan.references
            for entry in reference.masks
            if entry.mask.kind == "region"
        ),
    )
