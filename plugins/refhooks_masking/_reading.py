"""Pictures and arrays as numbers of a mask, 0–1, and what is likely meant otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageChops

from refhooks import InputError, warn_user
from refhooks.pictures import load_alpha, load_mask

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FAINT = 0.1
"""A mask that is nowhere brighter is likely one of other numbers, such as of classes."""
COLOURED = 16
"""How far, of 255, the channels of a grey may lie apart; those of a JPEG do a little."""


def brightness(image: str | Path | Image.Image) -> Tensor:
    """Return how bright a picture is, ``[height,width]``; what is transparent is black.

    Raises:
        InputError: It cannot be read, or its numbers are of no scale.
    """
    whole = load_mask(image)
    clear = None if whole.mode == "RGB" else ImageChops.invert(whole.getchannel("A"))
    seen = whole if clear is None else _on_white(whole)
    grey = seen.convert("L")
    covered = grey if clear is None else ImageChops.subtract(grey, clear)
    _warn_of_a_photograph(seen, clear)
    return _scaled(covered, "the mask")


def opacity(image: str | Path | Image.Image) -> Tensor:
    """Return how opaque a picture is, ``[height,width]``.

    Raises:
        InputError: It cannot be read, or has no alpha channel.
    """
    return _scaled(load_alpha(image), "the alpha channel")


def numbers_of(array: Any) -> Tensor:
    """Return the numbers of an array or tensor, ``[height,width]``.

    Raises:
        InputError: It is no ``[height,width]`` of bools, 0–1 or, as uint8, 0–255.
    """
    values = _tensor(array)
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(f"a mask's array must be [height,width], got {list(values.shape)}")
    return _told(_unit(values), "the mask's array")


def _on_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _scaled(grey: Image.Image, label: str) -> Tensor:
    """0–255 as 0–1; where there are 0 and 1 alone, as they stand."""
    values = np.asarray(grey)
    scale = np.float32(1 if values.max() <= 1 else 255)
    return _told(torch.from_numpy(values / scale), label)


def _told(cover: Tensor, label: str) -> Tensor:
    """The same, with a warning where it is likely not what was meant."""
    most = float(cover.max())
    if 0.0 < most < FAINT:
        warn_user(
            f"{label} is nowhere brighter than {most:.1%} of white, so it covers next to nothing;"
            " of classes' numbers choose one, as array == 3, and divide others by the largest"
        )
    elif bool((cover >= 1.0).all()):
        warn_user(f"{label} is white all over: it covers everything, so it limits nothing")
    return cover


def _warn_of_a_photograph(seen: Image.Image, clear: Image.Image | None) -> None:
    """A mask is grey; where it is transparent, the rest of it is white."""
    pixels = np.asarray(seen)
    if int((pixels.max(axis=-1) - pixels.min(axis=-1)).max()) > COLOURED:
        warn_user(
            "the mask is coloured, as a photograph, and covers by how bright it is, which is likely"
            " not what is meant: give a black-and-white picture, or alpha= for how opaque it is"
        )
    elif clear is not None and clear.getbbox() is not None and int(pixels.min()) < 255:
        warn_user(
            "the mask is transparent in part, and not white in the rest: both count, what is black"
            " or transparent covers nothing; for how opaque it is alone, give alpha="
        )


def _tensor(array: Any) -> Tensor:
    try:
        if isinstance(array, torch.Tensor):
            return array.detach().cpu()
        copied = np.array(array)  # a copy: views may be read-only, or turned around
        return torch.from_numpy(copied.astype(copied.dtype.newbyteorder("="), copy=False))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"a mask's array cannot be read: {error}") from error


def _unit(values: Tensor) -> Tensor:
    if values.dtype == torch.bool:
        return values.float()
    if values.is_complex():
        raise InputError(f"a mask's array must hold real numbers, got {values.dtype}")
    cover = values.float()
    if values.dtype == torch.uint8 and float(cover.max()) > 1:
        return cover / 255
    if not bool(((cover >= 0) & (cover <= 1)).all()):
        raise InputError(
            "a mask's array must hold bools, 0-1 or, as uint8, 0-255;"
            f" got {values.dtype} from {cover.min().item():g} to {cover.max().item():g}"
        )
    return cover
