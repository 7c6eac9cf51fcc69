"""Laying the masks of a reference on the grids of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._base.advice import warn_user
from refhooks._base.canvas import Cut
from refhooks._base.coverage import blanked, fitted, resized
from refhooks._core.masks.compositing import GridMask, MaskCompositor
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.canvas import Canvas
    from refhooks._base.size import Size
    from refhooks._core.contract.values import Row
    from refhooks._core.masks.mask import Mask

Grid = tuple[int, int]


@attrs.frozen(eq=False)
class Grids:
    """Where masks are laid.

    Attributes:
        output: Size of the output.
        target: Rows and columns of the output's tokens.
        own: Rows and columns of the reference's tokens, ``None`` if it gives none.
        device: Of the run.
    """

    output: Size
    target: Grid
    own: Grid | None
    device: torch.device


@attrs.frozen(eq=False)
class MaskCover:
    """A mask and its cover on the picture that it lies on; one that covers all of it is none.

    ``canvas`` is what that picture lies on or how it is cut; ``None``: it is resized.
    """

    place: int
    mask: Mask
    label: str
    cover: Tensor
    canvas: Canvas | Cut | None = None

    @property
    def spread(self) -> Tensor:
        """The cover on all of the canvas."""
        return self.cover if self.canvas is None else self.canvas.spread(self.cover)


def cover_masks(
    masks: Sequence[Mask],
    reference: int,
    frame: Size,
    own: Size,
    canvases: tuple[Canvas | Cut | None, Canvas | Cut | None] = (None, None),
) -> tuple[MaskCover, ...]:
    """Return the masks of a reference that cover less than everything.

    Args:
        masks: Those of its strategy.
        reference: 0-based, for messages.
        frame: Size of the source.
        own: Size of the reference picture.
        canvases: What the source lies on, and the reference.

    Raises:
        InputError: A mask covers nothing.
    """
    covered = []
    for place, mask in enumerate(masks):
        label = f"reference {reference + 1}, mask {place + 1} ({mask.kind} {mask.shape.name!r})"
        region = mask.kind == "region"
        cover = mask.cover(frame if region else own)
        if not bool((cover > 0).any()):
            raise InputError(
                f"{label} covers nothing, so the reference could do nothing; invert=True turns it"
                " around, and strength 0 leaves the reference out"
            )
        if not bool((cover >= 1).all()):
            canvas = canvases[0 if region else 1]
            covered.append(MaskCover(place, mask, label, cover, canvas))
    return tuple(covered)


def in_force(masks: Sequence[MaskCover], rows: Sequence[Row]) -> tuple[MaskCover, ...]:
    """Return the masks that hold at any step at which their reference acts, by its rows."""
    return tuple(entry for entry in masks if max(_held(entry, rows)) > 0.0)


def hide(picture: Image, masks: Sequence[MaskCover], rows: Sequence[Row]) -> Image:
    """Return the picture with what its content masks hide in grey.

    A picture is encoded once a run, so what is hidden at some steps only, or in part, stays in it.
    """
    for entry in masks:
        if entry.mask.kind == "content" and min(_held(entry, rows)) == 1.0:
            picture = blanked(picture, entry.cover)
    return picture


def _held(entry: MaskCover, rows: Sequence[Row]) -> list[float]:
    """How much of a mask holds at each step at which its reference acts, or at all if at none."""
    acting = [row for row in rows if row.strength > 0.0]
    return [row.masks[entry.place] for row in acting or rows]


def compositor_of(
    slot: int, masks: Sequence[MaskCover], grids: Grids, *, prefix: bool = False
) -> MaskCompositor | None:
    """Return what keeps the method to its masks of a stage; ``None`` if nothing does."""
    if not masks:
        return None
    return MaskCompositor(slot, [_on_grids(entry, grids) for entry in masks], prefix=prefix)


def _on_grids(entry: MaskCover, grids: Grids) -> GridMask:
    mask, cover, device = entry.mask, entry.cover, grids.device
    if mask.kind == "region":
        area = float((entry.spread if isinstance(entry.canvas, Cut) else cover).mean())
        text = {"full": 1.0, "area": area, "none": 0.0}[mask.text]
        target = resized(entry.spread, *grids.target).flatten().to(device)
        shape = (grids.output.height, grids.output.width)
        return GridMask(
            entry.place,
            "region",
            target=target,
            text=text,
            pixels=lambda: resized(entry.spread, *shape).to(device),
        )
    own = None if grids.own is None else resized(entry.spread, *grids.own).flatten().to(device)
    return GridMask(
        entry.place,
        "content",
        fitted=lambda fit: _fitted(entry, fit, grids),
        own=own,
        soft=mask.soft,
    )


def _fitted(entry: MaskCover, fit: str, grids: Grids) -> Tensor:
    on_output = entry.canvas is not None and entry.canvas.output
    cover = entry.spread if on_output else fitted(entry.cover, grids.output, fit)
    target = resized(cover, *grids.target).flatten()
    if not bool((target > 0).any()):
        warn_user(
            f"{entry.label}: fit={fit!r} cuts off what it covers, so the reference does nothing"
        )
    return target.to(grids.device)


def warn_of_no_reach(label: str, compositor: MaskCompositor, rows: Sequence[Row]) -> None:
    """Warn where a method that acts on the target alone could act nowhere, fitted as it is.

    Args:
        label: How the warning names the method.
        compositor: Of its masks.
        rows: Of the steps at which the method acts.
    """
    if all(compositor.share_nothing(row.masks) for row in rows):
        warn_user(
            f"{label}: its masks multiply, and no place of the output is covered by all of them,"
            " so it does nothing; let them overlap, or draw them as one mask"
        )
