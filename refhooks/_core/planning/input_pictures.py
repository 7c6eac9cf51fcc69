"""Pictures of a call, read: from files and hands, or handed on by an edit before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks._base.canvas import Canvas, Cut
from refhooks._base.colours import has_profile
from refhooks._base.pictures import fit_picture, in_mode, load_original, load_whole
from refhooks._base.size import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL.Image import Image
    from torch import Tensor

    Encode = Callable[[Image, Size], Tensor]

__all__ = ["HandedOn", "InputPicture", "open_picture"]


@attrs.frozen(eq=False)
class HandedOn:
    """A picture that an edit made, with the latents that hold it.

    Attributes:
        picture: RGB, or RGBA as a family made it; in sRGB, unless it has a profile.
        latents: ``[1,T,C]``, as the family's VAE normalises them; ``None``: the picture is encoded
            again.
        name: Of the file that holds it, if it is known.
        file: That file, if it can be read again.
        origin: The picture at the start, a path or a PIL picture, if it is known.
    """

    picture: Image
    latents: Tensor | None
    name: str = ""
    file: Path | None = None
    origin: Any = None


@attrs.frozen(eq=False)
class InputPicture:
    """A picture of the call; in a batch of jobs, one a job.

    Attributes:
        pictures: In the family's mode, in sRGB, upright, of one size; one for the whole batch, or
            one for each of its jobs.
        own: The same in their own colours, each with its profile; ``None`` for what is in sRGB.
        latents: Those that hold it at its own size, ``[1,T,C]``, if it was handed on with them.
        handed: Whether an edit before made it.
        canvas: What each lies on in its own size, or how it is cut; ``None``: it is resized.
        files: Where each can be read again; ``None``: it is in memory alone.
    """

    pictures: tuple[Image, ...]
    own: tuple[Image | None, ...]
    latents: Tensor | None = None
    handed: bool = False
    canvas: Canvas | Cut | None = None
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

    def encode(self, encode: Encode, size: Size) -> Tensor:
        """Return clean latents ``[1 or B,R,C]``, of pictures resized to ``size``."""
        if self.latents is not None and size == self.whole:
            return self.latents
        return _joined([encode(picture, size) for picture in self.laid])

    def encode_fitted(self, encode: Encode, size: Size, fit: str) -> Tensor:
        """Return clean latents ``[1 or B,T,C]``, of pictures fitted to ``size``."""
        if self.latents is not None and self.fits(size):
            return self.latents
        pictures = self.laid if self._on_output else self.pictures
        fitted = [fit_picture(picture, size, fit) for picture in pictures]
        return _joined([encode(picture, size) for picture in fitted])

    def hiding(self, picture: Image) -> InputPicture:
        """Return the same with some of it hidden; nothing holds that yet."""
        if picture is self.picture:
            return self
        return InputPicture((picture,), (None,), canvas=self.canvas)

    def of_job(self, number: int) -> tuple[Image, Image | None]:
        """Return the picture of a job as the output shows it, and in its own colours if others."""
        place = min(number, len(self.pictures) - 1)
        picture, own = self.pictures[place], self.own[place]
        if own is None or not isinstance(self.canvas, Cut):
            return picture, own
        return self.canvas.lay(picture), self.canvas.lay(own)


def open_picture(image: Any, mode: str = "RGB") -> InputPicture:
    """Read a picture of the call.

    Args:
        image: A path, a picture, or what an edit before handed on.
        mode: ``RGB``, laid on white, or ``RGBA``.

    Raises:
        InputError: It is none, or cannot be read.
    """
    handed = image if isinstance(image, HandedOn) else None
    given = load_original(image if handed is None else handed.picture)
    wide = has_profile(given)
    file = Path(image).absolute() if isinstance(image, str | Path) else None
    return InputPicture(
        (in_mode(load_whole(given) if wide else given, mode),),
        (in_mode(given, mode) if wide else None,),
        None if handed is None else handed.latents,
        handed=handed is not None,
        files=(file if handed is None else handed.file,),
    )


def _joined(latents: Sequence[Tensor]) -> Tensor:
    import torch  # noqa: PLC0415  reading pictures needs no torch

    return latents[0] if len(latents) == 1 else torch.cat(list(latents))
