"""Reading pictures from files and hands that are not trusted, and fitting them to a size."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from refhooks._base.advice import warn_user
from refhooks._base.names import listed
from refhooks._base.once import once
from refhooks._base.shown import one_of, shown
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from refhooks._base.size import Size

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 256 * 2**20
MAX_PIXELS = 128 * 10**6
MAX_RATIO = 64
_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FITS = ("cover", "contain", "stretch")


def load_picture(source: str | Path | Image.Image) -> Image.Image:
    """Return a picture as RGB, upright, its alpha laid on white.

    Args:
        source: Path of a PNG, JPEG or WEBP file, or a PIL picture.

    Raises:
        InputError: Not a picture, another format, damaged, or beyond the caps on bytes, pixels and
            aspect ratio.
    """
    return _load(source, _as_rgb)


def load_whole(source: str | Path | Image.Image) -> Image.Image:
    """Return all that a picture shows: upright, RGB, or RGBA if any of it can be transparent.

    Args:
        source: As for :func:`load_picture`.

    Raises:
        InputError: As for :func:`load_picture`.
    """
    return _load(source, _as_whole)


def load_rgba(source: str | Path | Image.Image) -> Image.Image:
    """Return a picture as RGBA, upright; one that has no alpha is opaque.

    Args:
        source: As for :func:`load_picture`.

    Raises:
        InputError: As for :func:`load_picture`.
    """
    return _load(source, _as_rgba)


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Return an RGB or RGBA picture as ``RGB``, laid on white, or as ``RGBA``."""
    if picture.mode == mode:
        return picture
    if mode == "RGBA" or picture.mode != "RGBA":
        return picture.convert(mode)
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def load_alpha(source: str | Path | Image.Image) -> Image.Image:
    """Return how opaque a picture is, upright, as a grey picture: 255 is opaque.

    Args:
        source: As for :func:`load_picture`.

    Raises:
        InputError: As for :func:`load_picture`, or the picture has no alpha channel.
    """
    return _load(source, _alpha)


@attrs.frozen(eq=False)
class _Shown:
    """All that a picture shows, and what a caller may have to say of it.

    Attributes:
        whole: Upright, RGB, or RGBA if any of it can be transparent.
        mode: Of the file.
        frames: How many pictures it holds.
    """

    whole: Image.Image
    mode: str
    frames: int


def _load(
    source: str | Path | Image.Image, convert: Callable[[_Shown, str], Image.Image]
) -> Image.Image:
    if not isinstance(source, str | Path | Image.Image):
        raise InputError(f"a picture must be a path or a PIL image, got {type(source).__name__}")
    label = "the picture" if isinstance(source, Image.Image) else str(source)
    try:
        if isinstance(source, Image.Image):
            return convert(_shown(source, label), label)
        shown = _read(Path(source))
        picture = convert(shown, label)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{label} is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture"
        ) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{label} cannot be read as a picture: {error}") from error
    picture = picture.copy() if picture is shown.whole else picture
    vars(picture)["filename"] = label  # as Pillow does: recipes name pictures by their files
    return picture


def _read(path: Path) -> _Shown:
    """Decode a file, once as long as it stays as it is; what it shows is not to be changed."""
    _check_file(path)
    status = path.stat()
    key = ("picture", str(path.absolute()), status.st_ino, status.st_mtime_ns, status.st_size)
    return once(key, lambda: _decode(path), size=_bytes)


def _decode(path: Path) -> _Shown:
    with open_file(path) as opened:
        return _shown(opened, str(path))


def open_file(path: Path, formats: Sequence[str] = FORMATS) -> Image.Image:
    """Open a picture's file as ``Image.open`` does, without its warning of large pictures.

    refhooks has a cap of its own, and filters of warnings are the whole process's, so that no
    thread may change them for a while.

    Raises:
        UnidentifiedImageError: It is of none of these formats.
        OSError: It cannot be read, or is damaged.
    """
    with path.open("rb") as file:
        head = file.read(16)
    Image.init()
    for kind in formats:
        factory, accepts = Image.OPEN[kind]
        if accepts is None or accepts(head) is True:
            try:
                return factory(str(path), str(path))  # type: ignore[arg-type]
            except (SyntaxError, IndexError, TypeError, struct.error):
                break  # as Image.open takes them: what begins like one need not be one
    raise UnidentifiedImageError(f"{path} is no picture of the formats {listed(formats)}")


def _bytes(shown: _Shown) -> int:
    return shown.whole.width * shown.whole.height * len(shown.whole.getbands())


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


def _alpha(shown: _Shown, label: str) -> Image.Image:
    if shown.whole.mode == "RGB":
        raise InputError(f"{label} has no alpha channel; its mode is {shown.mode}")
    return shown.whole.getchannel("A")


def _as_whole(shown: _Shown, _label: str) -> Image.Image:
    return shown.whole


def _as_rgb(shown: _Shown, label: str) -> Image.Image:
    return in_mode(_only(shown, label), "RGB")


def _as_rgba(shown: _Shown, label: str) -> Image.Image:
    return in_mode(_only(shown, label), "RGBA")


def _only(shown: _Shown, label: str) -> Image.Image:
    """All that the first picture shows."""
    if shown.frames > 1:
        warn_user(
            f"{label} is animated or holds several pictures; only the first is used", stacklevel=4
        )
    return shown.whole


def _shown(picture: Image.Image, label: str) -> _Shown:
    frames = getattr(picture, "n_frames", 1)
    return _Shown(_whole(picture, label), picture.mode, frames)


def _whole(picture: Image.Image, label: str) -> Image.Image:
    _check_size(picture, label)
    turn = _TURNS.get(_orientation(picture))
    if picture.mode == "RGB" and turn is None and not picture.has_transparency_data:
        picture.load()
        return picture if type(picture) is Image.Image else picture.copy()
    upright = picture if turn is None else picture.transpose(turn)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = _eight_bit(upright)
    whole = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    if turn is not None:
        whole.info = {}  # its EXIF would turn it once more, where it is read again
    return whole


def _orientation(picture: Image.Image) -> Any:
    """A damaged tag says nothing about the pixels; only they are needed."""
    try:
        return picture.getexif().get(_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, TypeError, struct.error):
        return 1


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit greys hold 0–65535; Pillow's own conversion would clip them at 255."""
    values = np.asarray(picture, dtype=np.float64)
    full = 65535.0 if picture.mode.startswith("I") else 1.0
    scaled = np.clip(np.rint(values / full * 255.0), 0, 255)
    return Image.fromarray(scaled.astype(np.uint8))


def fit_picture(
    picture: Image.Image,
    size: Size,
    fit: str,
    resample: Image.Resampling = Image.Resampling.LANCZOS,
) -> Image.Image:
    """Fit a picture to a size in pixels.

    Args:
        picture: RGB, RGBA or grey.
        size: Of the result.
        fit: ``cover`` (fill, crop what hangs over), ``contain`` (the whole picture, edges repeated)
            or ``stretch``.
        resample: How it is resized.

    Raises:
        InputError: ``fit`` is none of these.
    """
    shape = (size.width, size.height)
    if picture.size == shape:
        return picture
    if not one_of(fit, FITS):
        raise InputError(f"fit must be one of {listed(FITS)}; got {shown(fit)}")
    if fit == "cover":
        return ImageOps.fit(picture, shape, resample)
    if fit == "stretch":
        return picture.resize(shape, resample)
    return _contain(picture, size, resample)


def _contain(picture: Image.Image, size: Size, resample: Image.Resampling) -> Image.Image:
    inner = np.asarray(ImageOps.contain(picture, (size.width, size.height), resample))
    rows, columns = size.height - inner.shape[0], size.width - inner.shape[1]
    margins = [(rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)]
    return Image.fromarray(np.pad(inner, [*margins, (0, 0)][: inner.ndim], mode="edge"))


def as_pil(pictures: Tensor) -> tuple[Image.Image, ...]:
    """Return pictures as PIL pictures; what is not within 0–1 is cut off.

    Args:
        pictures: ``[B,3,height,width]``, or ``[B,4,height,width]`` for RGBA.
    """
    inside = pictures.float().clamp(0.0, 1.0)
    values = inside.permute(0, 2, 3, 1).cpu().numpy()  # [B,height,width,3 or 4]
    return tuple(Image.fromarray(value) for value in (values * 255).round().astype(np.uint8))
