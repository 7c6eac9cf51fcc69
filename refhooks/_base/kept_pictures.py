"""Pictures whose file can be read again, so that nobody has to hold them."""

from __future__ import annotations

import hashlib
from pathlib import Path  # noqa: TC003  attrs resolves it
from typing import TYPE_CHECKING

import attrs

from refhooks._base.pictures import load_picture, load_rgba
from refhooks.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["KeptPicture", "pixels_hash"]


def pixels_hash(picture: Image.Image, mode: str) -> str:
    """Return the hash of a picture's size and pixels, which are in ``mode``."""
    digest = hashlib.sha256(f"{mode} {picture.width}x{picture.height}\n".encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


@attrs.frozen
class KeptPicture:
    """A picture that is not kept in memory, since its file can be read again.

    Attributes:
        path: Of the file.
        mode: ``RGB``, laid on white, or ``RGBA``.
        digest: Of its pixels.
    """

    path: Path
    mode: str
    digest: str

    @classmethod
    def of(cls, picture: Image.Image, path: Path) -> KeptPicture:
        """Return one for a picture that was read from a file."""
        return cls(path, picture.mode, pixels_hash(picture, picture.mode))

    def load(self) -> Image.Image:
        """Return the picture.

        Raises:
            InputError: The file is no longer there, or holds another picture.
        """
        picture = load_rgba(self.path) if self.mode == "RGBA" else load_picture(self.path)
        if pixels_hash(picture, self.mode) != self.digest:
            raise InputError(
                f"{self.path} has changed since the edit, so nothing can be compared with it; give"
                " edit() the picture itself to have it kept in memory"
            )
        return picture
