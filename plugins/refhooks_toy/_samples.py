"""The sample pictures that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw

from refhooks_toy._draw import draw
from refhooks_toy._scenes import SIZE, Face, Scene, Shape

if TYPE_CHECKING:
    from pathlib import Path

SCENES: Final = {
    "meadow": Scene(
        sky="clear",
        ground="grass",
        horizon=38,
        shapes=(Shape("circle", "red", 2, 26, 1, 0), Shape("star", "yellow", 1, 26, 0, 1)),
        face=Face("happy", "light", 3),
    ),
    "beach": Scene(
        sky="cloudy",
        ground="sand",
        horizon=34,
        shapes=(Shape("square", "blue", 3, 24, 0, 1), Shape("triangle", "green", 0, 26, -1, 0)),
        face=Face("sad", "tan", 2, 26, 1, 0),
    ),
    "winter": Scene(
        sky="stormy",
        ground="snow",
        horizon=42,
        shapes=(Shape("diamond", "purple", 1, 24, 1, 1), Shape("circle", "orange", 2, 24, 0, 0)),
    ),
    "star": Scene(
        sky="clear", ground="water", horizon=38, shapes=(Shape("star", "blue", 1, 26, -1, 1),)
    ),
}
"""The scene of each sample, the one for a first try first; `star` serves as Picture 2."""

PROMPTS: Final = (
    "make it night",
    "make the circle blue",
    "replace the star with a square",
    "make the face sad",
    "turn it into a pencil sketch",
)
"""Prompts for the first sample."""


COMPANIONS: Final = {
    "star.png": "star",
    "style.png": "beach",
    "face.png": "face",
    "cut.png": "cut",
}
"""What goes with the first sample: a second picture, one whose style is lent, a mask of the face,
and the star of the second picture cut out."""

_FACE: Final = (35, 34, 62, 61)  # pixels: left, top, right, bottom
_STAR: Final = (32, 2, 62, 30)


def write_masks(folder: Path) -> list[Path]:
    """Draw the mask and the cut picture of `COMPANIONS` as PNG files into `folder`."""
    face, opaque = Image.new("L", (SIZE, SIZE)), Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(face).ellipse(_FACE, fill=255)
    ImageDraw.Draw(opaque).ellipse(_STAR, fill=255)
    cut = Image.fromarray(np.asarray(draw([SCENES["star"]]))[0])
    cut.putalpha(opaque)
    paths = [folder / "face.png", folder / "cut.png"]
    for path, picture in zip(paths, (face, cut), strict=True):
        picture.save(path)
    return paths


def write_samples(folder: Path) -> list[Path]:
    """Draw the samples as PNG files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png" for name in SCENES]
    for path, picture in zip(paths, draw(list(SCENES.values())), strict=True):
        Image.fromarray(picture).save(path)
    return [*paths, *write_masks(folder)]
