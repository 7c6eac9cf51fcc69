"""Pictures of a call, read: from files and hands, or handed on by an edit before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.pictures import fit_picture, in_mode, load_picture, load_rgba
from refhooks._base.size import Size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.canvas import Canvas
    from refhooks._core.contract.family import FamilyRun

__all__ = ["HandedOn", "InputPicture", "open_picture"]


@attrs.frozen(eq=False)
class HandedOn:
    """A picture that an edit made, with the latents that hold it.

    Attributes:
        picture: RGB, or RGBA as a family made it.
        latents: ``[1,T,C]``, as the family's VAE normalises them; ``None``: the picture is encoded
            again.
        name: Of the file that holds it, if it is known.
        file: That file, if it can be read again.
    """

    picture: Image
    latents: Tensor | None
    name: str = ""
    file: Path | None = None


@attrs.frozen(eq=False)
class InputPicture:
    """A picture of the call; in a batch of jobs, one a job.

    Attributes:
        pictures: In the family's mode, upright, of one size; one for the whole batch, or one for
            each of its jobs.
        latents: Those that hold it at its own size, ``[1,T,C]``, if it was handed on with them.
        handed: Whether an edit before made it.
        canvas: What each lies on in its own size; ``None``: it is resized.
        files: Where each can be read again; ``None``: it is in memory alone.
    """

    pictures: tuple[Image, ...]
    latents: Tensor | None = None
    handed: bool = False
    canvas: Canvas | None = None
    files: tuple[Path | None, ...] = (None,)

    @property
    def picture(self) -> Image:
        """The only picture, or that of the first job."""
        return self.pictures[0]

    @property
    def size(self) -> Size:
        """The picture's own size."""
        return Size(self.picture.height, self.picture.width)

    @property
    def whole(self) -> Size:
        """The size that the model is given it in where that is not another resolution."""
        return self.size if self.canvas is None else self.canvas.size

    @property
    def laid(self) -> tuple[Image, ...]:
        """The pictures, on their canvas if they have one."""
        canvas = self.canvas
        return self.pictures if canvas is None else tuple(map(canvas.lay, self.pictures))

    def fits(self, size: Size) -> bool:
        """Return whether a picture fitted to a size is what it is, however it is fitted."""
        return size == (self.whole if self._on_output else self.size)

    @property
    def _on_output(self) -> bool:
        return self.canvas is not None and self.canvas.output

    def encode(self, opened: FamilyRun, size: Size) -> Tensor:
        """Return clean latents ``[1 or B,R,C]``, of pictures resized to ``size``."""
        if self.latents is not None and size == self.whole:
            return self.latents
        return _joined([opened.encode(picture, size) for picture in self.laid])

    def encode_fitted(self, opened: FamilyRun, size: Size, fit: str) -> Tensor:
        """Return clean latents ``[1 or B,T,C]``, of pictures fitted to ``size``."""
        if self.latents is not None and self.fits(size):
            return self.latents
        pictures = self.laid if self._on_output else self.pictures
        fitted = [fit_picture(picture, size, fit) for picture in pictures]
        return _joined([opened.encode(picture, size) for picture in fitted])

    def hiding(self, picture: Image) -> InputPicture:
        """Return the same with some of it hidden; nothing holds that yet."""
        return self if picture is self.picture else InputPicture((picture,), canvas=self.canvas)


def open_picture(image: Any, mode: str = "RGB") -> InputPicture:
    """Read a picture of the call.

    Args:
        image: A path, a picture, or what an edit before handed on.
        mode: ``RGB``, laid on white, or ``RGBA``.

    Raises:
        InputError: It is none, or cannot be read.
    """
    if isinstance(image, HandedOn):
        picture, files = in_mode(image.picture, mode), (image.file,)
        return InputPicture((picture,), image.latents, handed=True, files=files)
    file = Path(image).absolute() if isinstance(image, str | Path) else None
    picture = load_rgba(image) if mode == "RGBA" else load_picture(image)
    return InputPicture((picture,), files=(file,))


def _joined(latents: Sequence[Tensor]) -> Tensor:
    import torch  # noqa: PLC0415  reading pictures needs no torch

    return latents[0] if len(latents) == 1 else torch.cat(list(latents))
