"""Small ICC profiles, made here, and how far apart colours are."""

from __future__ import annotations

import io
import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
SRGB = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)]
P3 = [(0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)]
ADOBE = [(0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)]


def _s15(number):
    return struct.pack(">i", round(number * 65536))


def _xyz(values):
    return b"XYZ \0\0\0\0" + b"".join(map(_s15, values))


def _gamma(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def srgb_curve():
    """The curve of sRGB, as parameters."""
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + b"".join(map(_s15, numbers))


def profile(tags, space=b"RGB ", kind=b"mntr", pcs=b"XYZ ", name="made here"):
    """An ICC profile of version 2.1 with these tags, as bytes."""
    told = name.encode() + b"\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", len(told)) + told + b"\0" * 78
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0CC0\0", b"wtpt": _xyz(D50), **tags}
    start, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        value = content + b"\0" * (-len(content) % 4)
        table += tag + struct.pack(">II", start + len(body), len(value))
        body += value
    size = struct.pack(">I", start + len(body))
    head = size + b"none" + struct.pack(">I", 0x02100000) + kind + space + pcs
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + b"".join(map(_s15, D50))
    return head.ljust(128, b"\0") + table + body


def rgb_profile(primaries, gamma=2.2, curve=None, name="made here"):
    """That of a display: primaries as XYZ at D50, and a curve."""
    curve = _gamma(gamma) if curve is None else curve
    tags = {
        letter + b"XYZ": _xyz(xyz)
        for letter, xyz in zip((b"r", b"g", b"b"), primaries, strict=True)
    }
    tags |= {letter + b"TRC": curve for letter in (b"r", b"g", b"b")}
    return profile(tags, name=name)


def grey_profile(gamma):
    """That of grey pictures."""
    return profile({b"kTRC": _gamma(gamma)}, space=b"GRAY", name="a grey")


def luminance(lightness):
    """How bright an ``L*`` of 0–1 is, 0–1."""
    return np.where(lightness > 0.08, ((lightness + 0.16) / 1.16) ** 3, lightness * 27 / 243.89)


def lightness_profile():
    """That of grey pictures whose numbers are ``L*``, by a table."""
    values = np.rint(luminance(np.linspace(0, 1, 1024)) * 65535).astype(">u2").tobytes()
    curve = b"curv\0\0\0\0" + struct.pack(">I", 1024) + values
    return profile({b"kTRC": curve}, space=b"GRAY", name="a lightness")


def table_profile(space, channels, nodes, pcs=b"Lab "):
    """One that tells one way only, by a table of two nodes a channel (``lut8``)."""
    ramp = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([channels, 3, 2, 0])
    table += b"".join(_s15(number) for number in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    table += ramp * channels + bytes(value for node in nodes for value in node) + ramp * 3
    return profile({b"A2B0": table}, space=space, kind=b"scnr", pcs=pcs, name="a table")


DISPLAY_P3 = rgb_profile(P3, curve=srgb_curve(), name="Display P3")
ADOBE_RGB = rgb_profile(ADOBE, 563 / 256, name="Adobe RGB (1998)")
WIDE = {"Display P3": DISPLAY_P3, "Adobe RGB": ADOBE_RGB}


def converted(picture):
    """A picture in sRGB, as LittleCMS makes it with Pillow's own defaults."""
    from PIL import ImageCms

    own = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    target = ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(picture, own, target, outputMode="RGB")


def lab(numbers, data):
    """CIE Lab (D50) of RGB numbers 0–255 in a profile; ``None``: in sRGB."""
    values = np.asarray(numbers, dtype=np.float64) / 255
    if data == ADOBE_RGB:
        primaries, linear = ADOBE, values ** (563 / 256)
    else:
        primaries = P3 if data == DISPLAY_P3 else SRGB
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    ratio = np.clip(linear @ np.asarray(primaries) / D50, 0, None)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def delta_e(one, other):
    """CIEDE2000 between Lab colours (Sharma, Wu and Dalal, 2005)."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    grow = 1 + 0.5 * (1 - np.sqrt(mean7 / (mean7 + 25.0**7)))
    c1, c2 = np.hypot(a1 * grow, b1), np.hypot(a2 * grow, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a * grow)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = np.where(c1 * c2 == 0, 0, (h2 - h1 + 180) % 360 - 180)
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    mean = np.where(c1 * c2 == 0, h1 + h2, (h1 + turn / 2) % 360)
    t = (
        1 - 0.17 * np.cos(np.radians(mean - 30)) + 0.24 * np.cos(np.radians(2 * mean))
        + 0.32 * np.cos(np.radians(3 * mean + 6)) - 0.20 * np.cos(np.radians(4 * mean - 63))
    )  # fmt: skip
    sl = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rc = 2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    rt = -np.sin(np.radians(60 * np.exp(-(((mean - 275) / 25) ** 2)))) * rc
    dl, dc, dh = (l2 - l1) / sl, (c2 - c1) / sc, hue / sh
    return np.sqrt(dl**2 + dc**2 + dh**2 + rt * dc * dh)
