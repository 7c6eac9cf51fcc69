"""What an edit gives back."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from refhooks._names import listed
from refhooks.errors import InputError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from refhooks._timetable import Timetable

__all__ = ["EditResult"]

EXTENSIONS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
QUALITY = 95


@attrs.frozen(eq=False)
class EditResult:
    """A finished edit.

    Attributes:
        images: The pictures, prompts outermost, then seeds.
        latents: The final latents ``[B,T,C]``.
        timetable: What every reference did at every step.
        seeds: The seed of each picture.
        attention_share: How much of the target's attention each group of keys got,
            ``[N,blocks,1+references]``, means over queries, heads and batch in the branch ``cond``:
            first text and target together, then each reference. ``None`` unless recorded.
        retouched: Whether a plugin, such as an edit mask, could change the pictures after they were
            decoded: then ``latents`` do not hold what the pictures show.
    """

    images: tuple[Image.Image, ...] = attrs.field(repr=False)
    latents: Tensor = attrs.field(repr=False)
    timetable: Timetable = attrs.field(repr=False)
    seeds: tuple[int, ...]
    attention_share: Tensor | None = attrs.field(default=None, repr=False)
    retouched: bool = attrs.field(default=False, repr=False)

    @property
    def image(self) -> Image.Image:
        """The first picture."""
        return self.images[0]

    @property
    def seed(self) -> int:
        """The seed of the first picture; give it to ``edit(seed=...)`` to have it again."""
        return self.seeds[0]

    def save(self, path: str | Path) -> tuple[Path, ...]:
        """Save the pictures: one at ``path``, several at ``path-1`` and so on.

        A file that is there is replaced only once the new one is complete.

        Args:
            path: Ends in .png, .jpg, .jpeg or .webp.

        Returns:
            The paths written.

        Raises:
            InputError: Another ending, or a folder that is missing or cannot be written.
        """
        target = check_output(path)
        numbered = [target.with_stem(f"{target.stem}-{n}") for n in range(1, len(self.images) + 1)]
        paths = [target] if len(self.images) == 1 else numbered
        for picture, place in zip(self.images, paths, strict=True):
            save_picture(picture, place)
        return tuple(paths)


def check_output(path: str | Path) -> Path:
    """Return a path that a picture can be saved at.

    Raises:
        InputError: Its ending, or its folder, does not allow it.
    """
    target = Path(path)
    if target.suffix.lower() not in EXTENSIONS:
        raise InputError(f"{target}: the ending must be one of {listed(EXTENSIONS)}")
    try:
        is_folder = target.is_dir()
    except OSError as error:  # such as a name that is too long
        raise InputError(f"{target} cannot be written: {error}") from error
    if is_folder:
        raise InputError(f"{target} is a directory; name a file")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target}: the folder {target.parent} cannot be written")
    return target


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture beside its place, then rename it, so that no half-written file is left.

    Raises:
        InputError: The disk is full or refuses the file, or the format cannot hold the picture.
    """
    beside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            picture.save(file, format=EXTENSIONS[path.suffix.lower()], quality=QUALITY)
        beside.replace(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    finally:
        beside.unlink(missing_ok=True)
