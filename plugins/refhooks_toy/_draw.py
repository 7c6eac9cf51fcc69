"""Draw toyland scenes, with anti-aliased edges.

Shapes and faces are drawn once as small sprites from signed distances, and backgrounds once per
sky, ground and horizon; a picture is a background, its sprites, then light and style.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from refhooks_toy._scenes import SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from refhooks_toy._scenes import Face, Scene, Shape

    Floats = npt.NDArray[np.floating[Any]]

WINDOW: Final = 28  # a sprite: the largest size and a pixel around it
QUADRANT: Final = SIZE // 2

RGB: Final = {
    "red": (0.88, 0.12, 0.12),
    "orange": (1.00, 0.55, 0.05),
    "yellow": (1.00, 0.90, 0.10),
    "green": (0.10, 0.65, 0.20),
    "blue": (0.12, 0.30, 0.90),
    "purple": (0.60, 0.15, 0.75),
    "white": (0.97, 0.97, 0.97),
    "black": (0.10, 0.10, 0.10),
}
SKIN: Final = {"light": (1.00, 0.84, 0.68), "tan": (0.90, 0.68, 0.45), "brown": (0.58, 0.38, 0.24)}
SKY: Final = {
    "clear": ((0.30, 0.60, 0.95), (0.70, 0.87, 1.00)),
    "cloudy": ((0.62, 0.72, 0.82), (0.82, 0.87, 0.92)),
    "stormy": ((0.30, 0.30, 0.40), (0.55, 0.52, 0.60)),
}
GROUND: Final = {
    "grass": ((0.45, 0.72, 0.28), (0.25, 0.50, 0.15)),
    "sand": ((0.95, 0.83, 0.55), (0.85, 0.68, 0.38)),
    "snow": ((0.90, 0.94, 0.98), (0.78, 0.86, 0.95)),
    "water": ((0.25, 0.62, 0.70), (0.08, 0.38, 0.55)),
}


def draw(scenes: Sequence[Scene]) -> npt.NDArray[np.uint8]:
    """Draw scenes: sRGB pictures `[B, SIZE, SIZE, 3]`, 0 to 255."""
    pictures = np.empty((len(scenes), SIZE, SIZE, 3), np.uint8)
    for picture, scene in zip(pictures, scenes, strict=True):
        np.rint(_draw_one(scene) * np.float32(255), out=picture, casting="unsafe")
    return pictures


def _draw_one(scene: Scene) -> Floats:
    canvas = _background(scene.sky, scene.ground, scene.horizon).copy()
    for shape in scene.shapes:
        _paste(canvas, _shape_sprite(shape.kind, shape.colour, shape.size), shape)
    if scene.face is not None:
        face = scene.face
        _paste(canvas, _face_sprite(face.mood, face.skin, face.size), face)
    return _styled(_lit(canvas, scene.light), scene.style)


def _paste(canvas: Floats, sprite: tuple[Floats, Floats], thing: Shape | Face) -> None:
    """Blend a premultiplied sprite into the quadrant of a thing."""
    colour, clear = sprite
    margin = (QUADRANT - WINDOW) // 2
    top = thing.place // 2 * QUADRANT + margin + thing.dy
    left = thing.place % 2 * QUADRANT + margin + thing.dx
    window = canvas[top : top + WINDOW, left : left + WINDOW]
    window *= clear
    window += colour


def _lit(canvas: Floats, light: str) -> Floats:
    if light == "night":
        canvas *= np.array((0.36, 0.40, 0.54), np.float32)
        canvas += np.array((0.00, 0.01, 0.07), np.float32)
    elif light == "sunset":
        canvas *= np.array((0.84, 0.64, 0.50), np.float32)
        canvas += np.array((0.16, 0.06, 0.02), np.float32)
    return canvas


def _styled(canvas: Floats, style: str) -> Floats:
    if style == "photo":
        return canvas
    red, green, blue = np.moveaxis(
        canvas, 2, 0
    )  # added in this order: a product of matrices rounds
    grey = (
        red * np.float32(0.30) + green * np.float32(0.59) + blue * np.float32(0.11)
    )  # by processor
    if style == "sepia":
        sepia: Floats = grey[..., None] * np.array((0.98, 0.80, 0.56), np.float32) + 0.05
        return np.minimum(sepia, 1)
    rows = np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    columns = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    lines = np.minimum((rows + columns) * np.float32(2.2), 0.75)
    paper = np.maximum(0.70 + 0.26 * grey - lines, 0.05)
    sketch: Floats = np.repeat(paper[..., None], 3, axis=2)
    return sketch


@cache
def _background(sky: str, ground: str, horizon: int) -> Floats:
    """The empty scene `[SIZE, SIZE, 3]`, 0 to 1."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    up = np.clip(y / horizon, 0, 1)[..., None]
    above = _mix(SKY[sky], up)
    if sky == "cloudy":
        for cx, cy, width in ((14, 9, 11), (44, 6, 14), (30, 21, 12), (56, 24, 9)):
            puff = np.exp(-(((x - cx) / width) ** 2 + ((y - cy) / 4.0) ** 2))[..., None]
            above = above + (1 - above) * puff * 0.9
    elif sky == "stormy":
        above = above * (1 - 0.16 * np.sin(x / 7 + y / 3)[..., None])
    depth = np.clip((y - horizon) / (SIZE - horizon), 0, 1)[..., None]
    below = _mix(GROUND[ground], depth) * _texture(ground, x, y)[..., None]
    cover = np.clip(y - horizon + 0.5, 0, 1)[..., None]
    empty: Floats = np.clip(above * (1 - cover) + below * cover, 0, 1).astype(np.float32)
    return empty


def _mix(ends: tuple[tuple[float, ...], tuple[float, ...]], weight: Floats) -> Floats:
    first, last = (np.array(end, np.float32) for end in ends)
    mixed: Floats = first * (1 - weight) + last * weight
    return mixed


def _texture(ground: str, x: Floats, y: Floats) -> Floats:
    if ground == "grass":
        wave: Floats = 0.10 * np.sin(x * 1.3) * np.sin(y * 0.9 + x * 0.35)
    elif ground == "sand":
        wave = 0.06 * np.sin(y * 1.1 + 1.5 * np.sin(x / 9))
    elif ground == "water":
        wave = 0.16 * np.sin(y * 1.2 + 0.8 * np.sin(x / 5))
    else:
        wave = 0.03 * np.sin(x / 6 + y / 4)
    return 1 + wave


@cache
def _shape_sprite(kind: str, colour: str, size: int) -> tuple[Floats, Floats]:
    """A shape: premultiplied colour `[WINDOW, WINDOW, 3]`, transparency `[WINDOW, WINDOW, 1]`."""
    x, y = _grid()
    distance = _distance(kind, x, y, size / 2)
    rgb = np.array(RGB[colour], np.float32)
    shade = (1.06 - 0.14 * (y / size + 0.5))[..., None]
    edge = rgb * 0.35 if colour != "black" else np.full(3, 0.45, np.float32)
    line = _cover(-distance - 1.6)[..., None]
    return _sprite(np.clip(rgb * shade, 0, 1) * line + edge * (1 - line), _cover(-distance))


@cache
def _face_sprite(mood: str, skin: str, size: int) -> tuple[Floats, Floats]:
    x, y = _grid()
    radius = size / 2
    rgb = np.array(SKIN[skin], np.float32)
    ink = np.array((0.16, 0.08, 0.06), np.float32)
    distance = np.hypot(x, y) - radius
    paint: Floats = np.broadcast_to(rgb, (*x.shape, 3))
    marks = [(_cover(-distance - 1.4), rgb * 0.4, True)]
    for side in (-1, 1):
        eye = np.hypot((x - side * 4.6), (y + 3.6)) - 2.1
        marks.append((_cover(-eye), ink, False))
    if mood == "happy":
        grin = np.maximum(np.hypot(x, y - 1.5) - 7.6, 2.6 - y)
        marks.append((_cover(-grin), np.array((0.75, 0.10, 0.15), np.float32), False))
    else:
        frown = np.maximum(np.abs(np.hypot(x, y - 11.0) - 6.6) - 1.3, y - 9.0)
        tear = np.hypot((x - 7.4) / 0.8, y - 2.6) - 2.4
        marks.append((_cover(-frown), ink, False))
        marks.append((_cover(-tear), np.array((0.25, 0.60, 1.00), np.float32), False))
    for cover, colour, outside in marks:
        painted = (1 - cover if outside else cover)[..., None]
        paint = paint * (1 - painted) + colour * painted
    return _sprite(paint, _cover(-distance))


def _sprite(paint: Floats, cover: Floats) -> tuple[Floats, Floats]:
    alpha = cover[..., None]
    return (paint * alpha).astype(np.float32), (1 - alpha).astype(np.float32)


def _grid() -> tuple[Floats, Floats]:
    """Pixel centres measured from the middle of a sprite: x, y, each `[WINDOW, WINDOW]`."""
    axis = np.arange(WINDOW, dtype=np.float32) - (WINDOW - 1) / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def _cover(depth: Floats) -> Floats:
    """How much of a pixel lies inside, from its depth (pixels) below the edge."""
    cover: Floats = np.clip(depth + 0.5, 0, 1)
    return cover


def _distance(kind: str, x: Floats, y: Floats, radius: float) -> Floats:
    """Signed distance (pixels, negative inside) to the edge of a shape of half-height `radius`."""
    if kind == "circle":
        return np.hypot(x, y) - radius
    if kind == "square":
        return np.maximum(np.abs(x), np.abs(y)) - radius * 0.9
    if kind == "diamond":
        return (np.abs(x) + np.abs(y) - radius) / np.float32(2**0.5)
    turns = np.arange(3) if kind == "triangle" else np.arange(5)
    if kind == "triangle":
        return _polygon(x, y, _triangle(radius))
    outer = -np.pi / 2 + turns * 2 * np.pi / 5
    inner = outer + np.pi / 5
    corners = np.stack([_around(outer, radius * 1.05), _around(inner, radius * 0.46)], 1)
    return _polygon(x, y - radius * 0.05, corners.reshape(-1, 2))


def _triangle(radius: float) -> Floats:
    corners = ((0, -radius), (radius, radius * 0.85), (-radius, radius * 0.85))
    return np.array(corners, np.float32)


def _around(angles: Floats, radius: float) -> Floats:
    return np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32) * radius


def _polygon(x: Floats, y: Floats, corners: Floats) -> Floats:
    """Signed distance to a polygon `[K, 2]`: least distance to its sides, sign by even-odd rule."""
    point = np.stack([x, y], -1)  # [WINDOW, WINDOW, 2]
    least = np.full(x.shape, np.inf, np.float32)
    inside = np.zeros(x.shape, bool)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = end - start
        along = np.clip((point - start) @ side / (side @ side), 0, 1)[..., None]
        least = np.minimum(least, np.linalg.norm(point - start - along * side, axis=-1))
        crosses = (start[1] > y) != (end[1] > y)
        run = side[0] * (y - start[1]) / (side[1] or 1) + start[0]
        inside ^= crosses & (x < run)
    return np.where(inside, -least, least).astype(np.float32)
