"""Toyland scenes: what is in a picture, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from random import Random

SIZE: Final = 64
"""Height and width of a toyland picture, in pixels."""

KINDS: Final = ("circle", "square", "triangle", "star", "diamond")
COLOURS: Final = ("red", "orange", "yellow", "green", "blue", "purple", "white", "black")
MOODS: Final = ("happy", "sad")
SKINS: Final = ("light", "tan", "brown")
SKIES: Final = ("clear", "cloudy", "stormy")
GROUNDS: Final = ("grass", "sand", "snow", "water")
LIGHTS: Final = ("day", "sunset", "night")
STYLES: Final = ("photo", "sketch", "sepia")
PLACES: Final = ("top left", "top right", "bottom left", "bottom right")
SIZES: Final = (22, 24, 26)
HORIZONS: Final = (34, 38, 42)


@attrs.frozen
class Shape:
    """A coloured shape.

    `place` is an index into `PLACES` (a quadrant), `size` its height and width in pixels, `dx` and
    `dy` its offset from the middle of the quadrant in pixels (-2 to 2).
    """

    kind: str
    colour: str
    place: int
    size: int = 24
    dx: int = 0
    dy: int = 0


@attrs.frozen
class Face:
    """A happy or sad face; `place`, `size`, `dx` and `dy` as for `Shape`."""

    mood: str
    skin: str
    place: int
    size: int = 26
    dx: int = 0
    dy: int = 0


@attrs.frozen
class Scene:
    """Everything that is in a picture. `horizon` is the first pixel row of the ground."""

    sky: str
    ground: str
    horizon: int
    shapes: tuple[Shape, ...]
    face: Face | None = None
    light: str = "day"
    style: str = "photo"

    @property
    def free(self) -> tuple[int, ...]:
        """The places that hold neither a shape nor the face."""
        taken = {shape.place for shape in self.shapes}
        if self.face is not None:
            taken.add(self.face.place)
        return tuple(place for place in range(len(PLACES)) if place not in taken)


def random_scene(
    random: Random,
    *,
    shapes: tuple[int, int] = (1, 3),
    face: float = 0.5,
    plain: float = 0.85,
    day: float = 0.6,
) -> Scene:
    """Draw a scene.

    `shapes` are the least and the most shapes, `face`, `plain` and `day` the chances (0 to 1) of a
    face, of the photo style and of daylight. No two shapes agree in both kind and colour.
    """
    places = random.sample(range(len(PLACES)), len(PLACES))
    count = random.randint(*shapes)
    with_face = count < len(PLACES) and random.random() < face
    drawn = _shapes(random, places[:count])
    visage = _face(random, places[count]) if with_face else None
    return Scene(
        sky=random.choice(SKIES),
        ground=random.choice(GROUNDS),
        horizon=random.choice(HORIZONS),
        shapes=drawn,
        face=visage,
        light="day" if random.random() < day else random.choice(LIGHTS[1:]),
        style="photo" if random.random() < plain else random.choice(STYLES[1:]),
    )


def _shapes(random: Random, places: list[int]) -> tuple[Shape, ...]:
    seen: set[tuple[str, str]] = set()
    kinds = random.sample(KINDS, len(places))
    if random.random() < 0.2:  # sometimes two shapes of a kind, told apart by their colour
        kinds = [random.choice(KINDS) for _ in places]
    drawn = []
    for place, kind in zip(places, kinds, strict=True):
        colour = random.choice(COLOURS)
        while (kind, colour) in seen:
            colour = random.choice(COLOURS)
        seen.add((kind, colour))
        drawn.append(
            Shape(kind, colour, place, random.choice(SIZES), *_offset(random)),
        )
    return tuple(drawn)


def _face(random: Random, place: int) -> Face:
    return Face(random.choice(MOODS), random.choice(SKINS), place, 26, *_offset(random))


def _offset(random: Random) -> tuple[int, int]:
    return random.randint(-2, 2), random.randint(-2, 2)
