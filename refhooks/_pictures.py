"""Reading pictures from files and hands that are not trusted, and fitting them to a size."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from refhooks._names import listed
from refhooks.errors import InputError, RefhooksWarning

if TYPE_CHECKING:
    from refhooks._family import Size

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 256 * 2**20
MAX_PIXELS = 128 * 10**6
MAX_RATIO = 64
_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
FITS = ("cover", "contain", "stretch")


def load_picture(source: str | Path | Image.Image) -> Image.Image:
    """Return a picture as RGB, upright, its alpha laid on white.

    Args:
        source: Path of a PNG, JPEG or WEBP file, or a PIL picture.

    Raises:
        InputError: Not a picture, another format, damaged, or beyond the caps on bytes, pixels and
            aspect ratio.
    """
    if isinstance(source, Image.Image):
        return _as_rgb(source, "the picture")
    if not isinstance(source, str | Path):
        raise InputError(f"a picture must be a path or a PIL image, got {type(source).__name__}")
    path = Path(source)
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as opened:
                _check_size(opened, str(path))
                return _as_rgb(opened, str(path))
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path} is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture"
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as a picture: {error}") from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a directory, not a picture")
    if not path.is_file():
        raise InputError(f"there is no picture {path}")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty")
    if size > MAX_BYTES:
        raise InputError(f"{path} has {size} bytes; at most {MAX_BYTES} are read")


def _check_size(picture: Image.Image, label: str) -> None:
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise InputError(f"{label} has {width}x{height} pixels; at most {MAX_PIXELS} are read")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise InputError(f"{label} is {width}x{height}; a side may be {MAX_RATIO} times the other")


def _as_rgb(picture: Image.Image, label: str) -> Image.Image:
    _check_size(picture, label)
    if getattr(picture, "n_frames", 1) > 1:
        warnings.warn(
            f"{label} is animated; only its first frame is used", RefhooksWarning, stacklevel=3
        )
    if picture.mode == "RGB" and picture.getexif().get(_ORIENTATION, 1) == 1:
        picture.load()
        return picture if type(picture) is Image.Image else picture.copy()
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = _eight_bit(upright)
    if "A" in upright.getbands() or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    return upright.convert("RGB")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit greys hold 0–65535; Pillow's own conversion would clip them at 255."""
    values = np.asarray(picture, dtype=np.float64)
    full = 65535.0 if picture.mode.startswith("I") else 1.0
    scaled = np.clip(np.rint(values / full * 255.0), 0, 255)
    return Image.fromarray(scaled.astype(np.uint8))


def fit_picture(picture: Image.Image, size: Size, fit: str) -> Image.Image:
    """Fit a picture to a size in pixels.

    Args:
        picture: RGB.
        size: Of the result.
        fit: ``cover`` (fill, crop what hangs over), ``contain`` (the whole picture, edges repeated)
            or ``stretch``.

    Raises:
        InputError: ``fit`` is none of these.
    """
    shape = (size.width, size.height)
    if picture.size == shape:
        return picture
    if fit == "cover":
        return ImageOps.fit(picture, shape, Image.Resampling.LANCZOS)
    if fit == "stretch":
        return picture.resize(shape, Image.Resampling.LANCZOS)
    if fit == "contain":
        return _contain(picture, size)
    raise InputError(f"fit must be one of {listed(FITS)}; got {fit!r}")


def _contain(picture: Image.Image, size: Size) -> Image.Image:
    inner = np.asarray(ImageOps.contain(picture, (size.width, size.height)))
    rows, columns = size.height - inner.shape[0], size.width - inner.shape[1]
    margins = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2), (0, 0))
    return Image.fromarray(np.pad(inner, margins, mode="edge"))
