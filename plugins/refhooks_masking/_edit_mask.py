"""Where a picture may change at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks import InputError, Mask, hookimpl
from refhooks_masking._shapes import Box

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks import Context, RunInfo, Size

__all__ = ["EditMask"]


@attrs.frozen
class EditMask:
    """Keeps the source wherever a mask does not cover; ``edit(edit_mask=...)`` is short for it.

    Before each step, tokens that no covered pixel lies in are set to the source at the step's noise
    level, ``(1 − sigma)·r + sigma·ε``; in the feather band to a mix. The last step takes them to r
    itself, so that what is decoded is whole. At the end the source's pixels, as large as the
    output, are put back outside of the mask and mixed in within the band.

    Attributes:
        value: A region mask, laid on the source.
    """

    name: ClassVar[str] = "edit-mask"
    argument: ClassVar[str] = "edit_mask"

    value: Mask = attrs.field(validator=attrs.validators.instance_of(Mask))

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"value": Mask(Box("0,0,50%,100%"), feather=8)}]

    def check(self, frame: Size | None) -> None:
        """Refuse a mask that cannot be used on a picture of this size.

        Raises:
            InputError: The mask covers nothing, there is no picture, or it has a strength or text.
        """
        if frame is None:
            raise InputError("an edit mask needs a source picture, but image is None")
        if self.value.strength != 1.0:
            raise InputError("an edit mask has no strength: what it protects stays to the pixel")
        if self.value.text != attrs.fields(Mask).text.default:
            raise InputError("an edit mask has no text: it limits the edit, not a reference")
        if not bool((self.value.cover(frame) > 0).any()):
            raise InputError(
                "the edit mask covers nothing, so nothing could change; invert=True turns it around"
            )

    def bind_run(self, run: RunInfo) -> Any:
        """Return the object that keeps the source."""
        assert run.source is not None  # noqa: S101  check refuses that
        return _Keep(run, run.source.cover(self.value))


class _Keep:
    def __init__(self, run: RunInfo, cover: Tensor) -> None:
        assert run.source is not None  # noqa: S101  bind refuses that
        self._cover = cover  # [height,width]
        self._tokens = run.source.tokens(cover).to(run.noise)  # [1,T,1]
        self._noise = run.noise  # [B,T,C]
        self._source = run.source

    @hookimpl  # after the others of its kind, and before who wants to know what the model is given
    def refhooks_step(self, ctx: Context, latents: Tensor) -> Tensor:
        sigma = ctx.step.sigma
        kept = (1.0 - sigma) * self._source.latents + sigma * self._noise
        return kept.lerp(latents, self._tokens)

    @hookimpl(trylast=True)
    def refhooks_velocity(self, ctx: Context, latents: Tensor, velocity: Tensor) -> Tensor | None:
        if ctx.step.index + 1 < ctx.step.total:
            return None  # the next step's latents are set before it
        to_source = (latents - self._source.latents) / ctx.step.sigma
        return to_source.lerp(velocity, self._tokens)

    @hookimpl(trylast=True)
    def refhooks_image(self, images: Tensor) -> Tensor:
        return self._source.put_back(images, self._cover)
