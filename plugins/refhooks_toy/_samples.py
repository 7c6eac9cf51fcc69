"""The sample pictures that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PIL import Image

from refhooks_toy._draw import draw
from refhooks_toy._scenes import Face, Scene, Shape

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


def write_samples(folder: Path) -> list[Path]:
    """Draw the samples as PNG files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png" for name in SCENES]
    for path, picture in zip(paths, draw(list(SCENES.values())), strict=True):
        Image.fromarray(picture).save(path)
    return paths
