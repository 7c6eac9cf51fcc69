"""Reading pictures from files and hands that are not trusted, and fitting them to a size."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from refhooks._base import colours
from refhooks._base.advice import warn_user
from refhooks._base.damage import DAMAGED, damaged, decoded
from refhooks._base.names import listed
from refhooks._base.no_pictures import kind_of, of_address
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
    """Return a picture as RGB, upright, in sRGB, its alpha laid on white.

    Args:
        source: Path of a PNG, JPEG or WEBP file, or a PIL picture.

    Raises:
        InputError: Not a picture, another format, damaged, or beyond the caps on bytes, pixels and
            aspect ratio.
    """
    return _load(source, _as_rgb)


def load_whole(source: str | Path | Image.Image) -> Image.Image:
    """Return all that a picture shows: upright, RGB, or RGBA if any of it can be transparent.

    Its colours are brought to sRGB; a profile that cannot be used is warned of, and passed over.

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


def load_original(source: str | Path | Image.Image) -> Image.Image:
    """Return a picture as :func:`load_whole` does, but in its own colours, with its profile.

    Only where what sRGB shows could be given back in them; elsewhere it is in sRGB, without one.

    Args:
        source: As for :func:`load_picture`.

    Raises:
        InputError: As for :func:`load_picture`.
    """
    return _load(source, _as_original)


def load_mask(source: str | Path | Image.Image) -> Image.Image:
    """Return a picture as masks read it: RGB or RGBA, upright, its numbers as they stand.

    Whatever profile it has is for colours, and is ignored. Numbers of more than 8 bits are brought
    to 0–255, from the smallest of 0–1, 0–255 and 0–65535 that holds them all.

    Args:
        source: As for :func:`load_picture`.

    Raises:
        InputError: As for :func:`load_picture`, or its numbers are of no such scale.
    """
    return _load(source, _as_whole, as_mask=True)


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Return an RGB or RGBA picture as ``RGB``, laid on white, or as ``RGBA``."""
    if picture.mode == mode:
        return picture
    if mode == "RGBA" or picture.mode != "RGBA":
        return picture.convert(mode)
    white = Image.new("RGBA", picture.size, "white")
    laid = Image.alpha_composite(white, picture).convert("RGB")
    if colours.has_profile(picture):
        laid.info[colours.KEY] = picture.info[colours.KEY]
    return laid


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
        whole: Upright, in sRGB, RGB, or RGBA if any of it can be transparent.
        mode: Of the file.
        frames: How many pictures it holds.
        own: The same in its own colours, with its profile, where they can be had back.
    """

    whole: Image.Image
    mode: str
    frames: int
    own: Image.Image | None = None


def _load(
    source: str | Path | Image.Image,
    convert: Callable[[_Shown, str], Image.Image],
    *,
    as_mask: bool = False,
) -> Image.Image:
    if not isinstance(source, str | Path | Image.Image):
        raise InputError(f"a picture must be a path or a PIL image, got {kind_of(source)}")
    label = "the picture" if isinstance(source, Image.Image) else str(source)
    try:
        if isinstance(source, Image.Image):
            return convert(_shown(source, label, as_mask=as_mask), label)
        shown = _read(Path(source), as_mask=as_mask)
        picture = convert(shown, label)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"{label} is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} picture"
        ) from error
    except (OSError, ValueError, AssertionError) as error:  # one: of a palette that is not there
        raise damaged(label, error) from error
    picture = picture.copy() if picture is shown.whole or picture is shown.own else picture
    vars(picture)["filename"] = label  # as Pillow does: recipes name pictures by their files
    return picture


def _read(path: Path, *, as_mask: bool) -> _Shown:
    """Decode a file, once as long as it stays as it is; what it shows is not to be changed."""
    _check_file(path)
    status = path.stat()
    told = (status.st_ino, status.st_mtime_ns, status.st_size)
    key = ("picture", str(path.absolute()), *told, as_mask)
    return once(key, lambda: _decode(path, as_mask=as_mask), size=_bytes)


def _decode(path: Path, *, as_mask: bool) -> _Shown:
    try:
        opened = open_file(path)
    except DAMAGED as error:  # of what a PNG file holds, a profile can do that
        data = colours.png_without_profile(path.read_bytes())
        if data is None and isinstance(error, UnidentifiedImageError):
            raise
        if data is None:
            raise damaged(str(path), error) from error
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
        opened.info[colours.KEY] = None
    with opened:
        return _shown(opened, str(path), as_mask=as_mask)


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
    copies = 1 if shown.own is None else 2
    return copies * shown.whole.width * shown.whole.height * len(shown.whole.getbands())


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a directory, not a picture")
    if not path.is_file():
        raise InputError(f"there is no picture {path}{of_address(path)}")
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
        warn_user(f"{label} is animated or holds several pictures; only the first is used")
    return shown.whole


def _as_original(shown: _Shown, label: str) -> Image.Image:
    whole = _only(shown, label)
    return whole if shown.own is None else shown.own


def _shown(picture: Image.Image, label: str, *, as_mask: bool) -> _Shown:
    _check_size(picture, label)
    frames = decoded(picture, label)
    upright, whole = _whole(picture, label, as_mask=as_mask)
    if not colours.has_profile(picture):
        return _Shown(whole, picture.mode, frames)
    if as_mask:
        return _Shown(colours.without_profile(whole), picture.mode, frames)
    seen, kept = colours.in_srgb(upright, whole, label)
    return _Shown(seen, picture.mode, frames, whole if kept else None)


def _whole(picture: Image.Image, label: str, *, as_mask: bool) -> tuple[Image.Image, Image.Image]:
    """The picture upright, in its own mode, and as RGB or RGBA."""
    turn = _TURNS.get(_orientation(picture))
    if picture.mode == "RGB" and turn is None and not picture.has_transparency_data:
        plain = picture if type(picture) is Image.Image else picture.copy()
        return plain, plain
    upright = picture if turn is None else picture.transpose(turn)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _deep(upright, label, as_mask=as_mask)
    whole = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    if turn is not None:  # its EXIF would turn it once more, where it is read again
        whole.info = {key: it for key, it in whole.info.items() if key == colours.KEY}
    return upright, whole


def _orientation(picture: Image.Image) -> Any:
    """A damaged tag says nothing about the pixels; only they are needed."""
    try:
        return picture.getexif().get(_ORIENTATION, 1)
    except DAMAGED:
        return 1


def _deep(picture: Image.Image, label: str, *, as_mask: bool) -> tuple[Image.Image, Image.Image]:
    """A grey picture of more than 8 bits, in 16, and as RGB: Pillow's own would clip it at 255."""
    values = _scaled(picture, label, as_mask=as_mask)
    upright = Image.fromarray(np.rint(values * 65535.0).astype(np.uint16))
    whole = Image.fromarray(np.rint(values * 255.0).astype(np.uint8)).convert("RGB")
    if colours.has_profile(picture):
        upright.info[colours.KEY] = whole.info[colours.KEY] = picture.info[colours.KEY]
    return upright, whole


def _scaled(picture: Image.Image, label: str, *, as_mask: bool) -> Any:
    """Its numbers within 0–1, ``float64 [height,width]``."""
    values = np.asarray(picture, dtype=np.float64)
    scales: tuple[int, ...] = (255, 65535) if picture.mode.startswith("I") else (1, 255, 65535)
    if as_mask:
        scales = (1, 255, 65535)
    elif picture.mode.startswith("I;"):  # a file says that they are 16 bits
        scales = (65535,)
    least, most = float(values.min()), float(values.max())
    fitting = [scale for scale in scales if least >= 0.0 and most <= scale]
    if not fitting:
        raise InputError(
            f"{label}: the numbers of mode {picture.mode} must lie within 0 and {scales[-1]}; they"
            f" are {least:g} to {most:g}"
        )
    return values / fitting[0]


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
