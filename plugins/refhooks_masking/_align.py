"""Putting a picture that a model has moved back onto its source."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks import InputError, hookimpl, warn_user

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks import RunInfo, Shift, Size, Source

__all__ = ["Align"]

LITTLE = 0.1  # pixels: to move by less would blur more than it mends
LOG = logging.getLogger("refhooks")


@attrs.frozen
class Align:
    """Moves and scales each picture back onto the source; ``edit(align=True)`` is short for it.

    What was decoded is measured against the source, resized to the output, as
    :meth:`refhooks.EditResult.shift` does, and what is found is undone by bicubic interpolation. At
    the edges that then lie inside, the outermost pixels are repeated. A picture off by less than a
    tenth of a pixel, or by less than is known, stays as it is to the bit; so does, with a warning,
    one that cannot be measured. An edit mask then puts the source back outside of it.

    Attributes:
        value: Always true.
    """

    name: ClassVar[str] = "align"
    argument: ClassVar[str] = "align"

    value: bool = attrs.field(default=True, validator=attrs.validators.in_([True]))

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"value": True}]

    def check(self, frame: Size | None) -> None:
        """Refuse where there is nothing to align with, or nothing to measure with.

        Raises:
            InputError: There is no source picture, or scikit-image is not installed.
        """
        if frame is None:
            raise InputError("align needs a source picture, but image is None")
        from refhooks.pictures import check_measure  # noqa: PLC0415  imports PIL

        check_measure()

    def bind_run(self, run: RunInfo) -> Any:
        """Return the object that moves pictures."""
        assert run.source is not None  # noqa: S101  check refuses that
        return _Aligned(run.source)


class _Aligned:
    def __init__(self, source: Source) -> None:
        self._source = source

    @hookimpl(tryfirst=True)  # what an edit mask puts back is in its place
    def refhooks_image(self, images: Tensor) -> Tensor | None:
        import torch  # noqa: PLC0415  plugins load without it

        from refhooks.pictures import measure_shift, moved_back, to_pictures  # noqa: PLC0415

        if not bool(torch.isfinite(images).all()):
            return None  # whoever looks for that says so better
        sources, made = to_pictures(self._source.pixels), to_pictures(images)
        moved = images.clone()
        for number, picture in enumerate(made):
            shift = measure_shift(sources[number if len(sources) > 1 else 0], picture)
            if not _acts(shift, number):
                continue
            pixels = images[number].permute(1, 2, 0).double().cpu().numpy()  # [height,width,3 or 4]
            back = torch.from_numpy(moved_back(pixels, shift, picture.width))
            moved[number] = back.permute(2, 0, 1).to(moved)
        return moved


def _acts(shift: Shift, number: int) -> bool:
    """Whether a picture is moved; says so, or why not."""
    if shift.most is None or shift.error is None:
        warn_user(f"align: picture {number + 1} stays where it is; {shift}")
        return False
    acts = shift.most > max(LITTLE, shift.error)
    LOG.info("align: picture %d, %s: %s", number + 1, shift, "undone" if acts else "left")
    return acts
