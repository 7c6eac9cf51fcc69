"""What a mask covers: a picture, a box, a polygon, the alpha channel, an array."""

from __future__ import annotations

import numbers
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks import Size, warn_user

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = ["Alpha", "Array", "Box", "Picture", "Polygon"]

_LENGTH = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(%?)\s*")
MAX_POINTS = 10_000
MAX_LENGTH = 2**24
_OTHER_SHAPE = 0.05  # from this difference of aspect ratios on, a mask is likely of another picture


def _place(image: Any) -> Any:
    """Paths that lead to one place are equal, however they are written."""
    return os.path.abspath(image) if isinstance(image, str | Path) else image  # noqa: PTH100  never raises


@attrs.frozen
class Picture:
    """Covers what is white in a picture; grey covers in part.

    Numbers 0 and 1, as segmentation models write them, are black and white. What is coloured,
    partly transparent, white all over or nearly black is likely no mask, and is warned of.

    Attributes:
        image: Path of a PNG, JPEG or WEBP file, or a PIL picture; what is transparent in it covers
            nothing, and its colour profile is ignored. It is stretched over the picture that it is
            laid on, with a warning where their shapes differ.
    """

    name: ClassVar[str] = "picture"
    key: ClassVar[str] = "image"
    files: ClassVar[tuple[str, ...]] = ("image",)
    short: ClassVar[str] = "the path of a black-and-white picture, or a PIL picture"

    image: str | Path | Image = attrs.field(eq=_place)

    @classmethod
    def read(cls, value: Any) -> Picture | None:
        """Return the shape of a path or a PIL picture."""
        from PIL import Image  # noqa: PLC0415  registering this needs no PIL

        if isinstance(value, Path | Image.Image):
            return cls(value)
        return cls(value) if isinstance(value, str) and Box.read(value) is None else None

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        from PIL import Image  # noqa: PLC0415  registering this needs no PIL

        return [{"image": Image.radial_gradient("L")}]

    def cover(self, size: Size) -> Tensor:
        """Return the picture's brightness, ``[height,width]``."""
        from refhooks_masking._reading import brightness  # noqa: PLC0415  imports PIL

        return _laid(brightness(self.image), size, "the mask")


@attrs.frozen
class Alpha:
    """Covers what is opaque in a picture with an alpha channel.

    Attributes:
        alpha: Path of a PNG or WEBP file, or a PIL picture.
    """

    name: ClassVar[str] = "alpha"
    key: ClassVar[str] = "alpha"
    files: ClassVar[tuple[str, ...]] = ("alpha",)

    alpha: str | Path | Image = attrs.field(eq=_place)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        from PIL import Image  # noqa: PLC0415  registering this needs no PIL

        grey = Image.radial_gradient("L")
        return [{"alpha": Image.merge("LA", (grey, grey))}]

    def cover(self, size: Size) -> Tensor:
        """Return the picture's alpha channel, ``[height,width]``."""
        from refhooks_masking._reading import opacity  # noqa: PLC0415  imports PIL

        return _laid(opacity(self.alpha), size, "the alpha channel")


@attrs.frozen
class _Length:
    """A length or place along one side: pixels, or a share of the side."""

    value: float
    percent: bool

    def pixels(self, side: int) -> float:
        return self.value * side / 100 if self.percent else self.value


def _length(value: Any, label: str) -> _Length:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        if not abs(value) <= MAX_LENGTH:  # type: ignore[operator]  # before a float of it overflows
            raise ValueError(f"{label} is out of range: {value!r:.80}")
        length = _Length(float(value), percent=False)
    else:
        match = _LENGTH.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ValueError(
                f"{label} must be pixels or percent, as 120 or '25%'; got {value!r:.80}"
            )
        length = _Length(float(match[1]), percent=bool(match[2]))
    if not abs(length.value) <= MAX_LENGTH:
        raise ValueError(f"{label} is out of range: {value!r:.80}")
    return length


def _lengths(value: Any) -> tuple[str | float, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        raise ValueError(f"box must be x,y,width,height; got {value!r:.80}")
    return tuple(part.strip() if isinstance(part, str) else part for part in parts)


@attrs.frozen
class Box:
    """Covers an upright rectangle.

    Attributes:
        box: ``x, y, width, height`` in pixels or percent of the picture that it is laid on, as
            ``"10%,10%,50%,50%"`` or ``(40, 40, 200, 120)``; ``x`` and ``y`` are its left and upper
            edge. What lies outside of the picture covers nothing.
    """

    name: ClassVar[str] = "box"
    key: ClassVar[str] = "box"
    short: ClassVar[str] = "x,y,width,height in pixels or percent"

    box: tuple[str | float, ...] = attrs.field(converter=_lengths)

    @box.validator
    def _has_an_area(self, _: object, value: tuple[str | float, ...]) -> None:
        for name, side in zip(("x", "y", "width", "height"), value, strict=True):
            length = _length(side, f"box {name}")
            if name in ("width", "height") and length.value <= 0:
                raise ValueError(f"box {name} must be above 0, got {side!r:.80}")

    @classmethod
    def read(cls, value: Any) -> Box | None:
        """Return the box of four lengths, in a text with commas or a list."""
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or len(parts) != 4:
            return None
        texts = [part for part in parts if isinstance(part, str)]
        if any(_LENGTH.fullmatch(text) is None for text in texts):
            return None
        if any(not isinstance(part, str | numbers.Real) for part in parts):
            return None
        return cls(value)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"box": "10%,10%,50%,50%"}]

    def cover(self, size: Size) -> Tensor:
        """Return 1 inside the box and 0 outside, at its edges the share of each pixel."""
        x, y, width, height = (_length(side, "box") for side in self.box)
        across = _span(x.pixels(size.width), width.pixels(size.width), size.width)
        down = _span(y.pixels(size.height), height.pixels(size.height), size.height)
        return down[:, None] * across[None, :]


def _span(start: float, length: float, side: int) -> Tensor:
    """How much of each pixel along a side lies between two places, ``[side]``."""
    import torch  # noqa: PLC0415  registering this needs no torch

    edges = torch.arange(side + 1, dtype=torch.float64)
    inside = edges.clamp(start, start + length)
    return inside.diff().float()


def _points(value: Any) -> tuple[tuple[Any, ...], ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(p, list | tuple) for p in value):
        raise ValueError(f"polygon must be a list of points (x, y), got {value!r:.80}")
    if not 3 <= len(value) <= MAX_POINTS or any(len(point) != 2 for point in value):
        raise ValueError(f"polygon must have 3 to {MAX_POINTS} points (x, y), got {value!r:.80}")
    return tuple(tuple(point) for point in value)


@attrs.frozen
class Polygon:
    """Covers what lies inside a closed line through points.

    Attributes:
        polygon: Three or more points ``(x, y)``, in pixels or percent (``"25%"``) of the picture
            that it is laid on.
    """

    name: ClassVar[str] = "polygon"
    key: ClassVar[str] = "polygon"
    short: ClassVar[str] = "a list of points (x, y)"

    polygon: tuple[tuple[Any, ...], ...] = attrs.field(converter=_points)

    @polygon.validator
    def _are_places(self, _: object, value: tuple[tuple[Any, ...], ...]) -> None:
        for point in value:
            for place in point:
                _length(place, "polygon's points")

    @classmethod
    def read(cls, value: Any) -> Polygon | None:
        """Return the polygon of a list of points."""
        if not isinstance(value, list | tuple) or len(value) < 3:
            return None
        pairs = all(isinstance(point, list | tuple) and len(point) == 2 for point in value)
        return cls(value) if pairs else None

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"polygon": ((1, 1), ("90%", 2), (5, "80%"))}]

    def cover(self, size: Size) -> Tensor:
        """Return 1 inside and 0 outside, ``[height,width]``."""
        import numpy as np  # noqa: PLC0415  registering this needs no numpy
        import torch  # noqa: PLC0415  nor torch
        from PIL import Image, ImageDraw  # noqa: PLC0415  nor PIL

        picture = Image.new("L", (size.width, size.height), 0)
        corners = [
            (_length(x, "x").pixels(size.width), _length(y, "y").pixels(size.height))
            for x, y in self.polygon
        ]
        ImageDraw.Draw(picture).polygon(corners, fill=255)
        if _area(corners) < 1.0:
            warn_user(
                f"the polygon covers less than a pixel of {size}; places are pixels, or '50%' of a"
                " side",
            )
        return _laid(torch.from_numpy(np.asarray(picture) / np.float32(255)), size, "the polygon")


def _area(corners: list[tuple[float, float]]) -> float:
    """Of a polygon, in pixels (Gauss's shoelace formula)."""
    pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
    return abs(sum(x * below - right * y for (x, y), (right, below) in pairs)) / 2


@attrs.frozen(eq=False)
class Array:
    """Covers by the values of an array, such as one that a segmentation model made.

    Attributes:
        array: numpy array or tensor ``[height,width]`` (sides of length 1 before it are left out):
            bool, 0–1, or 0–255 as uint8; as for pictures, one that is nearly black or white all
            over is warned of. It is stretched over the picture that it is laid
            on, with a warning where their shapes differ.
    """

    name: ClassVar[str] = "array"
    key: ClassVar[str] = "array"
    short: ClassVar[str] = "an array or tensor [height,width] of bool, 0-1 or uint8"

    array: Any

    @classmethod
    def read(cls, value: Any) -> Array | None:
        """Return the shape of a numpy array or a tensor."""
        return cls(value) if hasattr(value, "shape") and hasattr(value, "dtype") else None

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        import numpy as np  # noqa: PLC0415  registering this needs no numpy

        return [{"array": np.eye(8)}]

    def cover(self, size: Size) -> Tensor:
        """Return the array, resized by area, ``[height,width]``."""
        from refhooks_masking._reading import numbers_of  # noqa: PLC0415  imports torch

        return _laid(numbers_of(self.array), size, "the mask's array")


def _laid(cover: Tensor, size: Size, label: str) -> Tensor:
    _warn_of_shape(cover.shape[1], cover.shape[0], size, label)
    return _resized(cover, size)


def _resized(cover: Tensor, size: Size) -> Tensor:
    from torch.nn import functional  # noqa: PLC0415  registering this needs no torch

    shape = (size.height, size.width)
    if tuple(cover.shape) == shape:
        return cover
    return functional.adaptive_avg_pool2d(cover[None, None], shape)[0, 0].clamp(0.0, 1.0)


def _warn_of_shape(width: int, height: int, size: Size, label: str) -> None:
    ratio = (width / height) / (size.width / size.height)
    if abs(ratio - 1) > _OTHER_SHAPE:
        warn_user(
            f"{label} is {width}x{height} and is stretched over a picture of {size}, which has"
            " another shape",
        )
