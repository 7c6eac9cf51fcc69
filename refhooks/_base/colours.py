"""Colour profiles: photographs brought to sRGB by LittleCMS, and back to their own colours."""

from __future__ import annotations

import functools
import io
import struct
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from PIL import Image

from refhooks._base.advice import warn_user
from refhooks._base.once import once

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

KEY: Final = "icc_profile"
MAX_PROFILE: Final = 4 * 2**20
_HEAD = 128
_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac")  # what describes the colours of pictures
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
DEEP: Final = "I;16"
_GREY = ("1", "L", "LA", "La", DEEP)
_LEAST_RANGE = 64  # of 255 between black and white; below, a profile makes all colours alike
_LEVELS = 17  # of each channel, at which a profile is compared with sRGB
_PNG = b"\x89PNG\r\n\x1a\n"


@attrs.frozen(eq=False)
class Profile:
    """What LittleCMS makes of an ICC profile.

    Attributes:
        mode: Of the pictures that it describes: ``RGB``, ``L`` or ``CMYK``.
        forward: To sRGB; ``None``: it is sRGB, within 1 of 255 at every colour.
        back: From sRGB; ``None``: not in RGB, or one way only.
    """

    mode: str
    forward: Any
    back: Any


@attrs.frozen(eq=False)
class _Greys:
    """Each grey as LittleCMS brings it to sRGB by itself.

    For whole pictures it draws up a table whose points lie too far apart in the dark of a linear
    profile, by up to ten levels.

    Attributes:
        colours: Of the 256 greys, ``[256,1,3]``.
    """

    colours: npt.NDArray[np.int16]

    def apply(self, picture: Image.Image) -> Image.Image:
        bands = [picture.point(self.colours[:, 0, band].tolist()) for band in range(3)]
        return Image.merge("RGB", bands)


def has_profile(picture: Image.Image) -> bool:
    """Return whether a picture says that it has a profile, readable or not."""
    return KEY in picture.info


def without_profile(picture: Image.Image) -> Image.Image:
    """Return a picture without the profile that it says it has; the pixels are the same."""
    plain = picture.copy()
    plain.info.pop(KEY, None)
    return plain


def in_srgb(upright: Image.Image, whole: Image.Image, label: str) -> tuple[Image.Image, bool]:
    """Return an RGB or RGBA picture in sRGB, and whether its own colours can be had back.

    Args:
        upright: The picture with its profile, in the mode of its file.
        whole: The same as RGB or RGBA, by its numbers alone.
        label: How a warning calls it; a profile that cannot be used is named, and passed over.
    """
    profile = _usable(upright, label)
    plain = without_profile(whole)
    if profile is None or profile.forward is None:
        return plain, False
    if upright.mode == DEEP:
        return _deep_greys(upright), False
    bands = whole if profile.mode == "RGB" else upright
    colours = without_profile(profile.forward.apply(bands.convert(profile.mode)))
    if whole.mode == "RGBA":
        colours.putalpha(whole.getchannel("A"))
    return colours, profile.back is not None


def _deep_greys(upright: Image.Image) -> Image.Image:
    """A grey picture of 16 bits in sRGB: in 8 bits the dark of a linear one would be all steps."""
    table = _deep_table(upright.info[KEY])
    return Image.fromarray(table[np.asarray(upright)])


@functools.lru_cache(maxsize=4)
def _deep_table(data: bytes) -> npt.NDArray[np.uint8]:
    """Each grey of 16 bits as LittleCMS brings it to sRGB by itself, ``[65536,3]``."""
    from PIL import ImageCms  # noqa: PLC0415  few pictures need it

    own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(data)), ImageCms.createProfile("sRGB")
    flags = ImageCms.Flags.NOOPTIMIZE
    forward: Any = ImageCms.buildTransform(own, srgb, DEEP, "RGB", flags=flags)
    every = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    return np.asarray(forward.apply(Image.fromarray(every))).reshape(-1, 3)


def in_own_colours(
    edited: Image.Image, source: Image.Image, own: Image.Image | None, kept: Floats
) -> Image.Image:
    """Return an edited picture in the colours of its source, with the source's profile.

    What is kept to the pixel is the source's own pixel, also where sRGB has no such colour; what is
    kept in part differs from sRGB's as much.

    Args:
        edited: In sRGB, RGB or RGBA.
        source: The picture it was made from, in sRGB, and resized as an edit mask resizes it.
        own: The same in its own colours, with a profile of which they could be had back; ``None``:
            sRGB is its own.
        kept: How much of each pixel is the source's, ``[height,width]``, 0–1.
    """
    if own is None:
        return edited
    data = own.info[KEY]
    profile = read_profile(data)
    assert isinstance(profile, Profile)  # noqa: S101  it was used before
    source, own = (
        it.resize(edited.size, Image.Resampling.LANCZOS).convert("RGB") for it in (source, own)
    )
    made, meant = (
        np.asarray(profile.back.apply(it.convert("RGB")), dtype=np.float32)
        for it in (edited, source)
    )
    missed = np.asarray(own, dtype=np.float32) - meant
    values = np.clip(np.rint(made + kept[..., None] * missed), 0, 255).astype(np.uint8)
    result = Image.fromarray(values)
    if edited.mode == "RGBA":
        result.putalpha(edited.getchannel("A"))
    result.info[KEY] = data
    return result


def png_without_profile(data: bytes) -> bytes | None:
    """Return a PNG file without the chunk that holds its profile; ``None`` if it has none."""
    if not data.startswith(_PNG):
        return None
    start = len(_PNG)
    while start + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        end = start + 12 + size
        if kind == b"iCCP":
            return data[:start] + data[end:]
        if kind == b"IDAT":
            return None
        start = end
    return None


def warn_of_profile(label: str, name: str, reason: str) -> None:
    """Warn of a profile that is passed over, once in a command or a call."""
    message = (
        f"{label}: its colour profile{name} is passed over: {reason}; its numbers are taken as sRGB"
    )
    once(
        ("told", message),
        lambda: warn_user(message),
        size=lambda _: 0,
    )


def _usable(upright: Image.Image, label: str) -> Profile | None:
    data = upright.info[KEY]
    profile = read_profile(data) if isinstance(data, bytes) and data else "it cannot be read"
    if isinstance(profile, Profile):
        grey = profile.mode == "L"
        rgb = profile.mode == "RGB" and upright.mode != DEEP
        if (upright.mode in _GREY) if grey else (rgb or upright.mode == "CMYK"):
            return profile
        space = "grey" if grey else profile.mode
        profile = f"it is for {space} pictures, and this one is {upright.mode}"
    warn_of_profile(label, _name(data), profile)
    return None


@functools.lru_cache(maxsize=16)
def read_profile(data: bytes) -> Profile | str:
    """Return what a profile does, or why it cannot be used."""
    reason = _refused(data)
    if reason:
        return reason
    try:
        from PIL import ImageCms  # noqa: PLC0415  few pictures need it

        return _made(data, _MODES[data[16:20]])
    except ImportError:
        return "this Pillow is built without LittleCMS"
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError) as error:
        return f"LittleCMS cannot use it ({error})"


def _made(data: bytes, mode: str) -> Profile | str:
    from PIL import ImageCms  # noqa: PLC0415  few pictures need it

    own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(data)), ImageCms.createProfile("sRGB")
    forward: Any = ImageCms.buildTransform(own, srgb, mode, "RGB")
    seen = _seen(forward, mode)
    if mode == "L":
        flags = ImageCms.Flags.NOOPTIMIZE
        each = _seen(ImageCms.buildTransform(own, srgb, mode, "RGB", flags=flags), mode)
        if int(np.abs(each - seen).max()) > 1:
            forward, seen = _Greys(each), each
    if int(np.ptp(seen.max(axis=-1))) < _LEAST_RANGE:
        return "it makes all colours alike"
    if mode != "RGB":
        return Profile(mode, forward, None)
    if int(np.abs(seen - _lattice(mode)).max()) <= 1:
        return Profile(mode, None, None)
    try:
        back = ImageCms.buildTransform(srgb, own, "RGB", "RGB")
    except ImageCms.PyCMSError:  # such as a scanner's, which tells one way only
        back = None
    return Profile(mode, forward, back)


def _refused(data: bytes) -> str:
    if len(data) > MAX_PROFILE:
        return f"it has {len(data)} bytes, and at most {MAX_PROFILE} are read"
    if len(data) <= _HEAD or data[36:40] != b"acsp":
        return "it is no ICC profile"
    size: int = struct.unpack(">I", data[:4])[0]
    if size > len(data):
        return f"it is cut short: {len(data)} of {size} bytes"
    if data[16:20] not in _MODES:
        return f"its colour space is {_text(data[16:20])}, and RGB, grey and CMYK are converted"
    if data[12:16] not in _CLASSES:
        return f"its class is {_text(data[12:16])}, which describes no picture's colours"
    return ""


def _text(data: bytes) -> str:
    return repr(data.decode("latin-1").strip())


def _name(data: Any) -> str:
    """What a profile calls itself, between spaces; nothing where it cannot be asked."""
    if not isinstance(data, bytes) or _refused(data):
        return ""
    try:
        from PIL import ImageCms  # noqa: PLC0415  few pictures need it

        told = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(data)))
    except (ImportError, OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return ""
    name = "".join(letter for letter in told.strip() if letter.isprintable())
    return f" {name:.60}" if name else ""


def _lattice(mode: str) -> npt.NDArray[np.int16]:
    """Colours all over a space, ``[n,1,channels]``."""
    count = {"L": 256, "RGB": _LEVELS, "CMYK": 5}[mode]
    levels = np.linspace(0, 255, count).round().astype(np.int16)
    axes = np.meshgrid(*[levels] * Image.getmodebands(mode), indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, 1, len(axes))


def _seen(forward: Any, mode: str) -> npt.NDArray[np.int16]:
    """What sRGB shows of them, ``[n,1,3]``."""
    lattice = _lattice(mode).astype(np.uint8)
    picture = Image.frombytes(mode, (1, len(lattice)), lattice.tobytes())
    return np.asarray(forward.apply(picture)).astype(np.int16)
