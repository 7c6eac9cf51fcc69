"""Masks: what part of a picture they cover, and what that limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

from refhooks._base.names import listed
from refhooks._base.numbers import number
from refhooks._base.once import once
from refhooks._base.shown import one_of, shown
from refhooks._core.contract.protocols import MaskShape, strengths
from refhooks.errors import StrategyError

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.protocols import Schedule


__all__ = ["Mask"]

KINDS = ("region", "content")
TEXTS = ("full", "area", "none")
MAX_FEATHER = 4096


def _feather(value: Any) -> float:
    return number(value, "a mask's feather", 0.0, MAX_FEATHER)


def _strength(value: Any) -> float | tuple[float, ...] | Schedule | str:
    return strengths(value, "a mask's strength", 1.0)


@attrs.frozen
class Mask:
    """Limits a reference, or an edit, to a part of a picture.

    Attributes:
        shape: What is covered.
        kind: ``region``: where in the output the reference may act; its shape lies on the source.
            ``content``: which part of the reference is used; its shape lies on the reference.
        invert: What is not covered counts instead.
        feather: Pixels outside of the shape over which its cover falls from 1 to 0, of the picture
            that the shape lies on.
        soft: For ``content``: the reference's latents are scaled by the cover (the source notes'
            ``reference_latent * spatial_mask``) instead of left out where it is below a half.
        strength: How much of the mask holds, 0 (as if there were no mask) to 1, at each step of the
            run: a number, one a step, a schedule or its short form. The cover ``c`` acts as
            ``1 − strength·(1 − c)``.
        text: For ``region``: how much the prompt's tokens attend to the reference: ``full``, the
            covered ``area`` of the picture (0–1) or, which leaks least, ``none``.

    Raises:
        StrategyError: An option is out of its range.
    """

    shape: MaskShape = attrs.field()
    kind: Literal["region", "content"] = attrs.field(default="region", kw_only=True)
    invert: bool = attrs.field(default=False, kw_only=True)
    feather: float = attrs.field(default=0.0, kw_only=True, converter=_feather)
    soft: bool = attrs.field(default=False, kw_only=True)
    strength: float | tuple[float, ...] | Schedule | str = attrs.field(
        default=1.0, kw_only=True, converter=_strength
    )
    text: Literal["full", "area", "none"] = attrs.field(default="none", kw_only=True)

    @shape.validator
    def _is_a_shape(self, _: object, value: object) -> None:
        if not isinstance(value, MaskShape) or isinstance(value, type):
            raise StrategyError(f"a mask's shape must be a mask shape, got {shown(value)}")

    @kind.validator
    @text.validator
    def _is_known(self, field: attrs.Attribute[Any], value: object) -> None:
        known = KINDS if field.name == "kind" else TEXTS
        if not one_of(value, known):
            raise StrategyError(
                f"a mask's {field.name} must be one of {listed(known)}; got {shown(value)}"
            )

    @invert.validator
    @soft.validator
    def _is_a_bool(self, field: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, bool):
            raise StrategyError(f"a mask's {field.name} must be true or false, got {shown(value)}")

    @soft.validator
    def _softens_content(self, _: object, value: object) -> None:
        if value and self.kind == "region":
            raise StrategyError("soft is for content masks; a region acts by its cover as it is")

    def cover(self, size: Size) -> Tensor:
        """Return how much of each pixel counts as covered, ``[height,width]``, 0–1.

        It is drawn once in a command or a call, and is not to be changed.

        Raises:
            InputError: The shape gives no such cover for a picture of this size.
        """
        return once(
            ("mask", id(self), size),
            lambda: self._drawn(size),
            size=lambda _: 4 * size.height * size.width,
            holding=self,
        )

    def _drawn(self, size: Size) -> Tensor:
        from refhooks._base.coverage import feathered  # noqa: PLC0415  imports torch, a second
        from refhooks._core.masks.shape_cover import shape_cover  # noqa: PLC0415  imports torch, a second

        cover = shape_cover(self.shape, size)
        if self.invert:
            cover = 1.0 - cover
        return feathered(cover, self.feather)
