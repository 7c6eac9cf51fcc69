"""Toyland edits: from a scene to the right answer and the prompt that asks for it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import attrs

from refhooks_toy import _prompts as prompts
from refhooks_toy._scenes import (
    COLOURS,
    GROUNDS,
    KINDS,
    LIGHTS,
    SKIES,
    STYLES,
    Face,
    Scene,
    Shape,
    random_scene,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TWO_PICTURES: Final = "two-pictures"


@attrs.frozen
class Edit:
    """One edit: the scene before, the scene after, the prompt, and the scene of Picture 2, if any.

    `kind` is a name of `EDIT_KINDS`, `seed` what the edit was drawn from.
    """

    kind: str
    seed: int
    source: Scene
    right: Scene
    prompt: str
    extra: Scene | None = None


def make_edit(kind: str, seed: int) -> Edit:
    """Draw one edit of a kind. The same kind and seed always give the same edit."""
    random = Random(seed * 16 + EDIT_KINDS.index(kind))  # noqa: S311 - scenes are no secrets
    source, right, prompt, extra = _MAKERS[kind](random)
    return Edit(kind, seed, source, right, prompts.dress(prompt, random), extra)


_Made = tuple[Scene, Scene, str, "Scene | None"]


def _colour_change(random: Random) -> _Made:
    scene = random_scene(random, plain=1)
    old = random.choice(scene.shapes)
    new = attrs.evolve(old, colour=_other(random, _free_colours(scene, old.kind), old.colour))
    return scene, _with(scene, old, new), prompts.colour(scene, old, new.colour, random), None


def _style_transfer(random: Random) -> _Made:
    scene = random_scene(random, plain=1)
    style = random.choice(STYLES[1:])
    return scene, attrs.evolve(scene, style=style), prompts.style(style, random), None


def _object_swap(random: Random) -> _Made:
    scene = random_scene(random, plain=0.9)
    old = random.choice(scene.shapes)
    recoloured = scene.style == "photo" and random.random() < 0.3
    colour = random.choice(COLOURS) if recoloured else old.colour
    taken = {shape.kind for shape in scene.shapes if shape.colour == colour}
    kind = random.choice([kind for kind in KINDS if kind not in taken and kind != old.kind])
    new = attrs.evolve(old, kind=kind, colour=colour)
    return scene, _with(scene, old, new), prompts.swap(scene, old, new, recoloured, random), None


def _add_elements(random: Random) -> _Made:
    scene = random_scene(random, shapes=(1, 2), plain=0.9)
    place = random.choice(scene.free)
    if scene.face is None and random.random() < 0.2:
        face = Face(random.choice(("happy", "sad")), "light", place)
        prompt = prompts.add(scene, f"{face.mood} face", place, random)
        return scene, attrs.evolve(scene, face=face), prompt, None
    taken = {(shape.kind, shape.colour) for shape in scene.shapes}
    options = [(k, c) for k in KINDS for c in COLOURS if (k, c) not in taken]
    kind, colour = random.choice(options)
    prompt = prompts.add(scene, f"{colour} {kind}", place, random)
    return scene, _added(scene, Shape(kind, colour, place)), prompt, None


def _remove_elements(random: Random) -> _Made:
    scene = random_scene(random, plain=0.9)
    if scene.face is not None and random.random() < 0.3:
        return scene, attrs.evolve(scene, face=None), prompts.remove("the face", random), None
    old = random.choice(scene.shapes)
    kept = tuple(shape for shape in scene.shapes if shape is not old)
    prompt = prompts.remove(prompts.refer(scene, old, random), random)
    return scene, attrs.evolve(scene, shapes=kept), prompt, None


def _lighting_change(random: Random) -> _Made:
    scene = random_scene(random, plain=1, day=0.5)
    light = _other(random, LIGHTS, scene.light)
    prompt = prompts.light(scene.light, light, random)
    return scene, attrs.evolve(scene, light=light), prompt, None


def _expression_change(random: Random) -> _Made:
    scene = random_scene(random, shapes=(1, 3), face=1, plain=0.9)
    assert scene.face is not None  # noqa: S101 - asked for just above
    mood = "sad" if scene.face.mood == "happy" else "happy"
    right = attrs.evolve(scene, face=attrs.evolve(scene.face, mood=mood))
    return scene, right, prompts.expression(mood, random), None


def _background_swap(random: Random) -> _Made:
    scene = random_scene(random, plain=0.9)
    what = random.choice(("ground", "ground", "sky", "both"))
    ground = scene.ground if what == "sky" else _other(random, GROUNDS, scene.ground)
    sky = scene.sky if what == "ground" else _other(random, SKIES, scene.sky)
    prompt = prompts.background(what, ground, sky, random)
    return scene, attrs.evolve(scene, ground=ground, sky=sky), prompt, None


def _two_pictures(random: Random) -> _Made:
    scene = random_scene(random, shapes=(1, 2), plain=1)
    extra = random_scene(random, shapes=(1, 1), face=0, plain=1, day=1)
    shape = extra.shapes[0]
    place = random.choice(scene.free)
    added = Shape(shape.kind, shape.colour, place)
    return scene, _added(scene, added), prompts.borrow(scene, place, random), extra


_MAKERS: Final[dict[str, Callable[[Random], _Made]]] = {
    "color-change": _colour_change,
    "style-transfer": _style_transfer,
    "object-swap": _object_swap,
    "add-elements": _add_elements,
    "remove-elements": _remove_elements,
    "lighting-change": _lighting_change,
    "expression-change": _expression_change,
    "background-swap": _background_swap,
    TWO_PICTURES: _two_pictures,
}

EDIT_KINDS: Final = tuple(_MAKERS)
"""Eight kinds of edit, and the one with two pictures."""

WHOLE_PICTURE: Final = frozenset({"style-transfer", "lighting-change"})
"""The kinds of edit that change every pixel."""


def _other(random: Random, options: tuple[str, ...] | list[str], than: str) -> str:
    return random.choice([option for option in options if option != than])


def _free_colours(scene: Scene, kind: str) -> list[str]:
    taken = {shape.colour for shape in scene.shapes if shape.kind == kind}
    return [colour for colour in COLOURS if colour not in taken]


def _with(scene: Scene, old: Shape, new: Shape) -> Scene:
    shapes = tuple(new if shape is old else shape for shape in scene.shapes)
    return attrs.evolve(scene, shapes=shapes)


def _added(scene: Scene, shape: Shape) -> Scene:
    return attrs.evolve(scene, shapes=(*scene.shapes, shape))
