"""The wording of toyland edits: every word the model knows is on this page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from refhooks_toy._scenes import PLACES

if TYPE_CHECKING:
    from random import Random

    from refhooks_toy._scenes import Scene, Shape

_GROUND: Final = {
    "grass": ("grass", "a meadow", "a lawn"),
    "sand": ("sand", "a beach", "a desert"),
    "snow": ("snow", "a snowy field"),
    "water": ("water", "the sea", "a lake"),
}
_SKY: Final = {
    "clear": ("a clear sky", "a blue sky"),
    "cloudy": ("a cloudy sky", "clouds"),
    "stormy": ("a stormy sky", "a storm"),
}
_STYLE: Final = {
    "sketch": ("a sketch", "a pencil drawing", "a pencil sketch", "a drawing"),
    "sepia": ("a sepia photo", "an old sepia photo", "a vintage photo"),
}
_LIGHT: Final = {
    "day": ("day", "daytime", "daylight"),
    "night": ("night", "nighttime"),
    "sunset": ("sunset", "evening", "dusk"),
}
_MOOD: Final = {"happy": ("happy", "cheerful", "glad"), "sad": ("sad", "unhappy")}
_FACE: Final = ("the face", "the person")

WORDS: Final = frozenset(
    """
    2 a add an at away background be beach black blue bottom change cheerful circle clear clouds
    cloudy color colour convert corner cry day daylight daytime delete desert diamond draw drawing
    dusk erase evening expression face field for from frown get glad grass green ground happy image
    in into it lake lawn left lighting like look make meadow night nighttime of old orange paint
    pencil person photo picture place please purple put red remove replace rid right sad sand sea
    sepia shape should sketch sky smile snow snowy square star storm stormy style sunset swap take
    the this time to top triangle turn under unhappy vintage water white with yellow
    """.split()  # noqa: SIM905  a word list is easier to read so
)
"""Every word of every prompt, in lower case; a test compares it with what is drawn."""


def refer(scene: Scene, shape: Shape, random: Random) -> str:
    """Name a shape so that it can be no other one of the scene."""
    kinds = sum(other.kind == shape.kind for other in scene.shapes)
    colours = sum(other.colour == shape.colour for other in scene.shapes)
    coloured = scene.style == "photo"
    names = []
    if kinds == 1:
        names += [f"the {shape.kind}"] * 3
    if coloured:
        names += [f"the {shape.colour} {shape.kind}"] * 4
    if coloured and colours == 1:
        names += [f"the {shape.colour} shape"]
    if random.random() < 0.1 or not names:
        names = [f"the {shape.kind} at the {PLACES[shape.place]}"]
    return random.choice(names)


def colour(scene: Scene, shape: Shape, new: str, random: Random) -> str:
    """Ask for another colour."""
    name = refer(scene, shape, random)
    return random.choice(
        (
            f"make {name} {new}",
            f"turn {name} {new}",
            f"paint {name} {new}",
            f"color {name} {new}",
            f"change {name} to {new}",
            f"change the color of {name} to {new}",
            f"change the colour of {name} to {new}",
            f"{name} should be {new}",
        )
    )


def style(new: str, random: Random) -> str:
    """Ask for another style."""
    what = random.choice(_STYLE[new])
    picture = random.choice(("it", "this", "the picture", "the image", "the photo"))
    return random.choice(
        (
            f"make {picture} {what}",
            f"turn {picture} into {what}",
            f"make {picture} look like {what}",
            f"convert {picture} to {what}",
            f"change the style to {what}",
        )
    )


def swap(scene: Scene, old: Shape, new: Shape, recoloured: bool, random: Random) -> str:
    """Ask for another shape in the place of one."""
    name = refer(scene, old, random)
    what = _a(f"{new.colour} {new.kind}" if recoloured else new.kind)
    return random.choice(
        (
            f"replace {name} with {what}",
            f"turn {name} into {what}",
            f"swap {name} for {what}",
            f"change {name} to {what}",
            f"change {name} into {what}",
            f"make {name} {what}",
        )
    )


def add(scene: Scene, thing: str, place: int, random: Random) -> str:
    """Ask for one more thing."""
    verb = random.choice(("add", "put", "draw", "place"))
    return f"{verb} {_a(thing)}{_where(scene, place, random)}"


def borrow(scene: Scene, place: int, random: Random) -> str:
    """Ask for the shape of Picture 2."""
    verb = random.choice(("add", "put", "draw", "place"))
    of = random.choice(("of", "from", "in"))
    return f"{verb} the shape {of} Picture 2{_where(scene, place, random)}"


def remove(name: str, random: Random) -> str:
    """Ask for something to go."""
    verb = random.choice(("remove", "delete", "erase", "take away", "get rid of"))
    return f"{verb} {name}"


def light(old: str, new: str, random: Random) -> str:
    """Ask for another light."""
    what = random.choice(_LIGHT[new])
    return random.choice(
        (
            f"make it {what}",
            f"turn {random.choice(_LIGHT[old])} into {what}",
            f"change the lighting to {what}",
            f"change it to {what}",
            f"change the time to {what}",
            f"it should be {what}",
        )
    )


def expression(new: str, random: Random) -> str:
    """Ask for the other mood."""
    mood, face = random.choice(_MOOD[new]), random.choice(_FACE)
    verb = "smile" if new == "happy" else random.choice(("frown", "cry"))
    return random.choice(
        (
            f"make {face} {mood}",
            f"make {face} look {mood}",
            f"make {face} {verb}",
            f"turn {face} {mood}",
            f"change the expression to {mood}",
            f"change {face} to {_a(mood)} face",
            f"{face} should be {mood}",
            f"{face} should {verb}",
        )
    )


def background(what: str, ground: str, sky: str, random: Random) -> str:
    """Ask for another ground, sky, or both."""
    below, above = random.choice(_GROUND[ground]), random.choice(_SKY[sky])
    if what == "sky":
        return random.choice(
            (
                f"change the sky to {above}",
                f"replace the sky with {above}",
                f"make the sky {sky}",
            )
        )
    if what == "ground":
        place = random.choice(("the background", "the ground"))
        return random.choice(
            (
                f"change {place} to {below}",
                f"replace {place} with {below}",
                f"turn {place} into {below}",
                f"make {place} {below}",
            )
        )
    verb, link = random.choice((("change", "to"), ("replace", "with"), ("turn", "into")))
    return f"{verb} the background {link} {below} under {above}"


def dress(prompt: str, random: Random) -> str:
    """Sometimes begin with a capital letter, end with a full stop, or say please."""
    chance = random.random()
    if chance < 0.06:
        prompt = f"please {prompt}"
    if random.random() < 0.2:
        prompt = prompt[0].upper() + prompt[1:]
    return f"{prompt}." if random.random() < 0.12 else prompt


def _a(thing: str) -> str:
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"


def _where(scene: Scene, place: int, random: Random) -> str:
    if len(scene.free) == 1 and random.random() < 0.5:
        return ""
    return random.choice((" at the {}", " in the {}", " in the {} corner")).format(PLACES[place])
