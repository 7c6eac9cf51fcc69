"""The source's pixels, put back where the finished picture is near them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks import InputError, hookimpl, warn_user

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks import RunInfo, Size

__all__ = ["KeepPixels"]

LOG = logging.getLogger("refhooks")


def _share(value: Any, attribute: Any) -> None:
    """Refuse what is no number of 0–1."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        name = attribute.name
        raise InputError(
            f"{name} must be a number of 0-1, the RMS difference of sRGB values up to which a pixel"
            f" counts as the source's, got {value!r}; leave it out to have it measured"
        )


@attrs.frozen
class KeepPixels:
    """Puts the source's pixels back where a finished picture is near them.

    A model rebuilds what it was not asked to change, through an autoencoder, and so loses a little
    of it everywhere. With ``d`` the RMS difference to the source over the channels and 5 by 5
    pixels, and ``t`` the threshold, the source's share of a pixel is ``1`` up to ``d = t`` and
    falls to ``0`` at ``d = 2·t``. ``t`` is ``strength · 4/3`` of the 99th percentile of ``d``
    between the source and what the autoencoder alone makes of it, within 0.01–0.06: one more pass
    of its decoder, once a run. A picture of which less than a tenth is nearer than ``t`` was edited
    as a whole (a style, a light) and stays as it was made, to the bit, with a warning.

    Our own form, tried on the embedded model. It works on pixels alone: what it keeps at a place
    where an edit is as faint as the autoencoder's own error, is the source.

    Attributes:
        strength: Scales the threshold, 0–2; a number, or anything that a stage takes, of which the
            last step counts. 0 puts nothing back.
        threshold: ``t`` at strength 1, 0–1, in place of the measured one.
    """

    name: ClassVar[str] = "keep_pixels"
    scheduled: ClassVar[bool] = True

    strength: Any = 1.0
    threshold: float | None = attrs.field(
        default=None, validator=lambda _, attribute, value: _share(value, attribute)
    )

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{}, {"threshold": 0.5}, {"strength": 0.5}]

    def check(self, frame: Size | None) -> None:
        """Refuse where there is nothing to put back.

        Raises:
            InputError: There is no source picture.
        """
        if frame is None:
            raise InputError("keep_pixels needs a source picture, but image is None")

    def bind_run(self, run: RunInfo) -> Any:
        """Return the object that puts pixels back."""
        if any(run.strengths) and not run.strengths[-1]:
            warn_user(
                "keep_pixels does nothing: it acts on the finished picture, and its strength is 0"
                " at the last step; let it end above 0"
            )
        return _Kept(self, run)


class _Kept:
    def __init__(self, plugin: KeepPixels, run: RunInfo) -> None:
        assert run.source is not None  # noqa: S101  check refuses that
        self._threshold = plugin.threshold
        self._run, self._source = run, run.source

    @hookimpl  # after what moves pictures back, and before an edit mask
    def refhooks_image(self, images: Tensor) -> Tensor | None:
        from refhooks_keeping._nearness import (  # noqa: PLC0415  plugins load without torch
            distance,
            measured_threshold,
            share_near,
            whole_picture,
        )

        away = distance(images, self._source.pixels)  # [B,height,width]
        if self._threshold is None:
            limit = measured_threshold(self._run)
        else:
            limit = away.new_tensor([self._threshold])
        limit = (limit * self._run.strengths[-1]).to(away)[:, None, None]  # [1 or B,1,1]
        whole = whole_picture(away, limit)
        for number, near in enumerate(share_near(away, limit).tolist()):
            _tell(number, near, float(limit.flatten()[number % len(limit)]), bool(whole[number]))
        if bool(whole.all()):
            return None
        cover = ((away - limit) / limit.clamp(min=1e-6)).clamp(0.0, 1.0)
        cover[whole] = 1.0
        return self._source.put_back(images, cover.cpu())


def _tell(number: int, near: float, limit: float, whole: bool) -> None:
    said = f"keep_pixels: picture {number + 1}: {near:.1%} is within {limit:.3f} of the source"
    if whole:
        warn_user(f"{said}, so it was edited as a whole and stays as it was made")
    else:
        LOG.info("%s, and is put back", said)
