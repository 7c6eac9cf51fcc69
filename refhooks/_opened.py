"""Pictures of a call, read: from files and hands, or handed on by an edit before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks._family import Size
from refhooks._pictures import fit_picture, load_picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._family import FamilyRun

__all__ = ["Handed", "Opened", "open_picture"]


@attrs.frozen(eq=False)
class Handed:
    """A picture that an edit made, with the latents that hold it.

    Attributes:
        picture: RGB.
        latents: ``[1,T,C]``, as the family's VAE normalises them; ``None``: the picture is encoded
            again.
    """

    picture: Image
    latents: Tensor | None


@attrs.frozen(eq=False)
class Opened:
    """A picture of the call.

    Attributes:
        picture: RGB, upright.
        latents: Those that hold it at its own size, ``[1,T,C]``, if it was handed on with them.
        handed: Whether an edit before made it.
    """

    picture: Image
    latents: Tensor | None = None
    handed: bool = False

    @property
    def size(self) -> Size:
        """The picture's own size."""
        return Size(self.picture.height, self.picture.width)

    def encode(self, opened: FamilyRun, size: Size) -> Tensor:
        """Return clean latents ``[1,R,C]`` of the picture, resized to ``size``."""
        if self.latents is not None and size == self.size:
            return self.latents
        return opened.encode(self.picture, size)

    def encode_fitted(self, opened: FamilyRun, size: Size, fit: str) -> Tensor:
        """Return clean latents ``[1,T,C]`` of the picture, fitted to ``size``."""
        if self.latents is not None and size == self.size:
            return self.latents
        return opened.encode(fit_picture(self.picture, size, fit), size)

    def hiding(self, picture: Image) -> Opened:
        """Return the same with some of it hidden; nothing holds that yet."""
        return self if picture is self.picture else Opened(picture)


def open_picture(image: Any) -> Opened:
    """Read a picture of the call.

    Raises:
        InputError: It is none, or cannot be read.
    """
    if isinstance(image, Handed):
        return Opened(image.picture, image.latents, handed=True)
    return Opened(load_picture(image))
