"""What a finished picture is compared with: its source, and where it was allowed to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._base.canvas import Cut
from refhooks._base.kept_pictures import KeptPicture
from refhooks._core.planning.factories import as_mask

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._apps.advice.limits import Limit
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
        pictures: As they were given; one for all results, or one for each. What came from a file is
            read from it again when it is needed.
        frame: Their size.
        cut: How the family cuts them to the output; ``None``: they are resized.
        size: Of the output.
        edit_mask: Where the picture may change at all; ``None``: everywhere.
        regions: The region masks of the references, which lie on the source.
    """

    pictures: tuple[Image | KeptPicture, ...]
    frame: Size
    size: Size
    edit_mask: Mask | None = None
    regions: tuple[Mask, ...] = ()
    cut: Cut | None = None

    def picture(self, number: int = 0) -> Image:
        """Return the source of a result in its own size.

        Raises:
            InputError: Its file is no longer there, or has changed.
        """
        picture = self.pictures[number if len(self.pictures) > 1 else 0]
        return picture.load() if isinstance(picture, KeptPicture) else picture

    def source(self, number: int = 0) -> Image:
        """Return the source of a result, resized to the output as an edit mask resizes it.

        Raises:
            InputError: As :meth:`picture`.
        """
        from PIL import Image  # noqa: PLC0415  import refhooks is quick

        picture = self.picture(number)
        picture = picture if self.cut is None else self.cut.lay(picture)
        shape = (self.size.width, self.size.height)
        if picture.size == shape:
            return picture
        return picture.resize(shape, Image.Resampling.LANCZOS)

    @property
    def limit(self) -> Limit | None:
        """What :meth:`inside` is of."""
        if self.edit_mask is not None:
            return "edit"
        return "region" if self.regions else None

    def inside(self) -> Tensor | None:
        """Return where the edit, or else a reference, was to act; ``None``: there are no masks.

        Returns:
            ``[height,width]`` of the output, bool.
        """
        from refhooks._base.coverage import resized  # noqa: PLC0415  imports torch, a second

        masks = self.regions if self.edit_mask is None else (self.edit_mask,)
        if not masks:
            return None
        covers = [mask.cover(self.frame) for mask in masks]
        covers = covers if self.cut is None else [self.cut.spread(cover) for cover in covers]
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
    files = zip(plan.source.pictures, plan.source.files, strict=True)
    return Baseline(
        pictures=tuple(
            picture if file is None else KeptPicture.of(picture, file) for picture, file in files
        ),
        frame=plan.source.size,
        cut=plan.source.canvas if isinstance(plan.source.canvas, Cut) else None,
        size=plan.exact,
        edit_mask=None if edit_mask is None else as_mask(registry, edit_mask, "edit_mask"),
        regions=tuple(
            entry.mask
            for reference in plan.references
            for entry in reference.masks
            if entry.mask.kind == "region"
        ),
    )
