"""Asking a mask's shape what it covers, and checking the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from refhooks._base.once import once
from refhooks._core.plugins.attribution import naming
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import HookReturnError

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.protocols import MaskShape


def shape_cover(shape: MaskShape, size: Size) -> Tensor:
    """Return what a shape covers, checked, ``[height,width]``, float32; it is not to be changed.

    A shape is a value, so it is asked once in a command or a call.

    Raises:
        HookReturnError: The shape gives something else.
    """
    key = ("cover", id(shape), size)
    return once(key, lambda: _checked(shape, size), size=_bytes, holding=shape)


def _checked(shape: MaskShape, size: Size) -> Tensor:
    origin = load_registry().origin("mask", shape)  # a shape of one editor's own has none
    label = f"mask shape {shape.name!r}{origin}: cover(size)"
    with naming(f"mask shape {shape.name!r}{origin} for a picture of {size}"):
        cover = shape.cover(size)
    if not isinstance(cover, torch.Tensor):
        raise HookReturnError(f"{label} must return a tensor, got {type(cover).__name__}")
    if tuple(cover.shape) != (size.height, size.width):
        raise HookReturnError(
            f"{label} must return [{size.height},{size.width}], got {list(cover.shape)}"
        )
    cover = cover.detach().to("cpu", torch.float32)
    if not bool(((cover >= 0) & (cover <= 1)).all()):
        raise HookReturnError(f"{label} must return values from 0 to 1")
    return cover


def _bytes(cover: Tensor) -> int:
    return cover.numel() * cover.element_size()
