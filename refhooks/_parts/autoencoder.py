"""The way of pictures through the VAE, in and out: finite, and of the sizes that were planned."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING, Any

import torch

from refhooks._parts.encodings import kept_latents
from refhooks._parts.finite import finite_pictures, remedy, which
from refhooks._parts.tiles import tile_words
from refhooks.errors import InputError, ModelError, NotFiniteError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.family import Family
    from refhooks._core.contract.family_run import FamilyRun

__all__ = ["check_latents", "decode", "encode"]


def encode(
    family: Family, opened: FamilyRun, label: str, like: Tensor, picture: Image, size: Size
) -> Tensor:
    """Return the clean latents of a picture, ``[1,R,C]``, in the run's dtype.

    Args:
        family: The adapter.
        opened: Its state of the run, which encodes.
        label: How messages name the picture, such as ``reference 2``.
        like: A tensor of the run's dtype and device.
        picture: In the family's mode.
        size: To which it is resized.

    Raises:
        ModelError: They are not as many tokens as such a picture has.
        NotFiniteError: They hold NaN or infinity.
    """
    rest = (size, like.dtype, like.device)
    latents = kept_latents(family, picture, rest, lambda: opened.encode(picture, size))
    tokens = math.prod(family.grid(size))
    if latents.shape[1] != tokens:
        raise ModelError(
            f"the VAE, encoding {label} at {size}, returned {latents.shape[1]} tokens of latents in"
            f" place of {tokens}{tile_words(_vae(family))}"
        )
    if not torch.isfinite(latents).all():
        raise NotFiniteError(
            f"the VAE, encoding {label}, returned NaN or infinity; {remedy(_vae(family), 'vae')}"
        )
    return latents.to(like)


def decode(family: Family, latents: Tensor, size: Size) -> Tensor:
    """Return the pictures ``[B,3 or 4,height,width]``, 0–1, of latents that are finite.

    Raises:
        ModelError: They are of another size than was planned.
        NotFiniteError: They hold NaN or infinity, or did so before the VAE cut them off.
    """
    vae = _vae(family)
    with _watched(vae) as seen:
        pictures = family.decode(_in_dtype_of(vae, latents), size)
    height, width = pictures.shape[-2:]
    if (height, width) != (size.height, size.width):
        raise ModelError(
            f"the VAE decoded a picture of {width}x{height} pixels in place of"
            f" {size}{tile_words(vae)}"
        )
    finite = finite_pictures(pictures)
    for flags in seen:
        alike = flags.shape == finite.shape
        finite = finite & (flags if alike else flags.all()).to(finite.device)
    if not finite.all():
        raise NotFiniteError(
            f"the VAE, decoding {which(finite)}, returned NaN or infinity from finite latents;"
            f" {remedy(vae, 'vae')}"
        )
    return pictures


def check_latents(family: Family, latents: Tensor, size: Size) -> None:
    """Check latents that somebody gives to be decoded.

    Raises:
        InputError: They are not those of a picture of this size.
        NotFiniteError: They hold NaN or infinity.
    """
    tokens = math.prod(family.grid(size))
    if latents.ndim != 3 or latents.shape[1] != tokens:
        raise InputError(
            f"latents of a picture of {size} are [B,{tokens},C], got {list(latents.shape)}"
        )
    finite = finite_pictures(latents)
    if not finite.all():
        raise NotFiniteError(
            f"latents with NaN or infinity cannot be decoded: {which(finite)}; the edit that made"
            ' them says where they come from, with check="eager" at which step'
        )


def _vae(family: Family) -> Any:
    return getattr(family.pipe, "vae", None)


def _in_dtype_of(vae: Any, latents: Tensor) -> Tensor:
    """Latents in the dtype of a VAE that runs in another one than the transformer."""
    dtype = getattr(vae, "dtype", None)
    usable = isinstance(dtype, torch.dtype) and dtype.is_floating_point and dtype.itemsize > 1
    return latents.to(dtype) if usable else latents


@contextlib.contextmanager
def _watched(vae: Any) -> Iterator[list[Tensor]]:
    """Look at what the VAE's own parts return: of its output infinity may be cut off already.

    What is seen stays on the device until it is asked for. A call of another thread is its own.
    """
    seen: list[Tensor] = []
    thread = threading.get_ident()

    def look(_module: Any, _args: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or threading.get_ident() != thread:
            return
        if isinstance(output, torch.Tensor) and output.is_floating_point() and output.ndim > 1:
            seen.append(finite_pictures(output))

    with contextlib.ExitStack() as stack:
        for part in vae.children() if isinstance(vae, torch.nn.Module) else ():
            stack.callback(part.register_forward_hook(look).remove)
        yield seen
