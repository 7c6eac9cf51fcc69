"""The pictures of a session: taken in by their pixels, named safely, shown large enough."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from refhooks import InputError
from refhooks.pictures import load_picture

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["mask_of_layers", "paintable", "shown", "take_in", "take_weights"]

MAX_PIXELS = 40 * 10**6
"""Of a picture on the page; the command line takes larger ones."""
SHOWN = 512  # pixels of the longer side up to which a small picture is scaled
PAINTED = 1024  # pixels of the longer side on which masks are painted
NAME = 120  # bytes of a file's name; systems take 255, and numbers and endings are added
ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}


def take_in(path: Path, folder: Path, name: str | None = None, taken: Container[str] = ()) -> str:
    """Copy a picture into the folder of a session, and return its name there.

    Args:
        path: Of the file, which may be anything.
        folder: Of the session.
        name: How it is called; by default as its file.
        taken: Names that it may not have; a file of the folder with the same bytes keeps its name.

    Raises:
        InputError: It is no picture that refhooks reads, or has more than 40 megapixels.
    """
    called = safe_name(name or path.name)
    ending = _checked(path, called)
    called = Path(called).stem + ending
    data = path.read_bytes()
    number = 1
    while called in taken or _is_other(folder / called, data):
        number += 1
        called = f"{Path(safe_name(name or path.name)).stem}-{number}{ending}"
    if not (folder / called).exists():
        shutil.copyfile(path, folder / called)
    return called


def take_weights(path: Path, folder: Path, taken: str) -> str:
    """Copy a file of weights that an option names into the folder of a session; return its name.

    Args:
        path: Of the file.
        folder: Of the session.
        taken: The ending that it has to have.

    Raises:
        InputError: Another file has that name.
    """
    called = Path(safe_name(path.name)).stem + taken
    if _is_other(folder / called, path.read_bytes()):
        raise InputError(f"there is another {called} on the page; give this one another name")
    shutil.copyfile(path, folder / called)
    return called


def _is_other(place: Path, data: bytes) -> bool:
    return place.exists() and place.read_bytes() != data


def safe_name(name: str) -> str:
    """Return a name without a folder, dots or dashes in front, or what some system refuses."""
    last = name.replace("\\", "/").rpartition("/")[2]
    letters = [it if it.isalnum() or it in "-_. " else "-" for it in last]
    plain = "".join(letters).encode("utf-8", "replace")[-NAME:].decode("utf-8", "ignore")
    return plain.strip(". ").lstrip("-. ") or "picture"


def _checked(path: Path, called: str) -> str:
    """Look at the size before any pixel is read, then at all of it; return the ending."""
    ending = ".png"
    try:
        with Image.open(path) as picture:
            ending = ENDINGS.get(picture.format or "", ".png")
            width, height = picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = Image.MAX_IMAGE_PIXELS or MAX_PIXELS
        raise InputError(_too_large(called, f"more than {most / 1e6:.0f}")) from error
    except Exception:  # noqa: BLE001  whatever is wrong with it, what follows says it
        width = height = 0
    if width * height > MAX_PIXELS:
        raise InputError(_too_large(called, f"{width}x{height}, {width * height / 1e6:.0f}"))
    try:
        load_picture(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), called)) from error
    return ending


def _too_large(called: str, size: str) -> str:
    return (
        f"{called} has {size} megapixels, and the page takes at most {MAX_PIXELS // 10**6}; make it"
        " smaller, or edit it with refhooks edit"
    )


def shown(picture: Image.Image) -> Image.Image:
    """Return a picture with a small one scaled up, pixel by pixel, so that it can be looked at."""
    factor = SHOWN // max(picture.size)
    if factor <= 1:
        return picture
    size = (picture.width * factor, picture.height * factor)
    return picture.resize(size, Image.Resampling.NEAREST)


def paintable(picture: Image.Image) -> Image.Image:
    """Return a picture as the ground that a mask is painted on: neither tiny nor huge."""
    if max(picture.size) <= PAINTED:
        return shown(picture).convert("RGB")
    ground = picture.convert("RGB")
    ground.thumbnail((PAINTED, PAINTED))
    return ground


def mask_of_layers(layers: list[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Return what was painted as a grey picture, white where it covers.

    Args:
        layers: RGBA, all of one size; the alpha of each is what was painted on it.
        size: Of the picture that was painted on; a mask that is larger is averaged down to it.

    Raises:
        InputError: Nothing is painted.
    """
    mask: Image.Image | None = None
    for layer in layers:
        alpha = layer.convert("RGBA").getchannel("A")
        mask = alpha if mask is None else Image.composite(_white(alpha), mask, alpha)
    if mask is None or mask.getbbox() is None:
        raise InputError("nothing is painted yet; paint over the picture, then use the mask")
    if mask.width > size[0]:
        mask = mask.resize(size, Image.Resampling.BOX)
    return mask


def _white(like: Image.Image) -> Image.Image:
    return Image.new("L", like.size, 255)
