"""The strategies that ``search.py`` looks among: drawn, changed a little, and crossed.

A candidate is one to three stages, each a method in one of its forms at a strength that stays or
changes over the stage; whether the text encoder sees the picture; and the denoise. Region and
content masks are left out: they would tell the strategy where the right answer differs. ``vision``
is ``auto`` or ``never``: ``always`` is the same as ``auto`` wherever any strength is above 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

GRAIN = 0.05  # of strengths and denoise, so that what is found can be read
EIGHTHS = tuple(place / 8 for place in range(1, 8))  # of a run, where stages may end
SHAPES = ("constant", "linear", "cosine", "ease-in", "ease-out")
OFF = "off"


@attrs.frozen
class Form:
    """A method with options, and the strengths that are looked at."""

    method: str
    options: Mapping[str, Any] = attrs.field(factory=dict)
    low: float = 0.1
    high: float = 2.0


ADD = {"formula": "add", "where": "input"}
BLEND = {"formula": "blend", "where": "input"}
KEEP = {"tokens": "keep"}

FORMS = {
    "default": Form("default"),
    "cross_attn": Form("cross_attn"),
    "cross_attn keys": Form("cross_attn", {"gain": "keys"}, 0.5, 1.5),
    "guidance": Form("guidance", {}, 0.5),
    "inject add": Form("inject", ADD),
    "inject add, tokens": Form("inject", ADD | KEEP, 0.05, 1.0),
    "inject blend, tokens": Form("inject", BLEND | KEEP, 0.05, 1.0),
    "inject pull, tokens": Form("inject", {"formula": "pull"} | KEEP, 0.05, 1.0),
    "concat": Form("concat"),
    OFF: Form("default", {}, 0.0, 0.0),
}
LAYERED = ("cross_attn", "cross_attn keys")
NATIVE = (*LAYERED, "default", "guidance")  # those that are the stock pipeline at 1


@attrs.frozen
class Part:
    """One stage of a candidate.

    Attributes:
        form: A name in ``FORMS``.
        start: Strength at its first step.
        end: Strength at its last; the same where ``shape`` is ``constant``.
        shape: Of the way between, a name in ``SHAPES``.
        layers: First and last block in which the reference is attended; ``None``: all.
        until: Progress of the run at which it ends; ``None``: with the run.
    """

    form: str
    start: float
    end: float
    shape: str = "constant"
    layers: tuple[int, int] | None = None
    until: float | None = None

    @property
    def strength(self) -> float | str:
        """As ``Stage`` takes it, and a file holds it."""
        changes = self.shape != "constant"
        return f"{self.start:g}:{self.end:g}:{self.shape}" if changes else self.start

    def __str__(self) -> str:
        layers = "" if self.layers is None else " in blocks {}-{}".format(*self.layers)
        until = "" if self.until is None else f" until {self.until:g}"
        held = self.strength
        strength = "" if self.form == OFF else f" {held if isinstance(held, str) else f'{held:g}'}"
        return f"{self.form}{strength}{layers}{until}"

    def stage(self) -> rh.Stage:
        """Return the stage."""
        form = FORMS[self.form]
        options = dict(form.options)
        if self.layers is not None:
            options["layers"] = "{}-{}".format(*self.layers)
        method = rh.method(form.method, **options) if options else form.method
        return rh.Stage(method, self.strength, until=self.until)


@attrs.frozen
class Candidate:
    """A strategy that is looked at; made by :func:`tidied`, so equal ones are equal."""

    parts: tuple[Part, ...]
    vision: str = "auto"
    denoise: float = 1.0

    def __str__(self) -> str:
        """Say all of it: the name of its cell."""
        said = ["; then ".join(str(part) for part in self.parts)]
        said += [f"vision {self.vision}"] * (self.vision != "auto")
        said += [f"denoise {self.denoise:g}"] * (self.denoise != 1.0)
        return ", ".join(said)

    @property
    def strategy(self) -> rh.Strategy:
        """What an edit takes."""
        return rh.Strategy([part.stage() for part in self.parts], vision=self.vision)

    @property
    def is_plain(self) -> bool:
        """Whether it is no reference at all, or the plain model by another name."""
        if all(part.form == OFF for part in self.parts):
            return True
        at_one = all(
            part.form in NATIVE and (part.start, part.end, part.layers) == (1.0, 1.0, None)
            for part in self.parts
        )
        return at_one and (self.vision, self.denoise) == ("auto", 1.0)


def _constant(form: str, strength: float, until: float | None = None) -> Part:
    return Part(form, strength, strength, until=until)


STARTS = (
    Candidate((_constant("default", 0.85),)),
    Candidate((_constant("cross_attn", 0.75),)),
    Candidate((_constant("cross_attn", 1.3),)),
    Candidate((_constant("guidance", 1.3),)),
    Candidate((_constant("inject add, tokens", 0.2),)),
    Candidate((Part("default", 0.4, 1.2, "linear"),)),
    Candidate((_constant("default", 1.0, 0.5), _constant("cross_attn", 1.3))),
    Candidate((_constant("concat", 1.0, 0.5), _constant("default", 1.0))),
)
"""Where every search begins: forms that others use, and that the source notes name."""


def pool(random: Random, count: int, blocks: int) -> list[Candidate]:
    """Return ``count`` different candidates: ``STARTS``, and drawn ones.

    Args:
        random: Where all chance comes from.
        count: How many.
        blocks: Of the model's transformer.
    """
    found = dict.fromkeys(STARTS[:count])
    while len(found) < count:
        drawn = draw(random, blocks)
        if not drawn.is_plain:
            found[drawn] = None
    return list(found)


def draw(random: Random, blocks: int) -> Candidate:
    """Draw a candidate."""
    count = random.choices((1, 2, 3), (5, 4, 1))[0]
    ends = sorted(random.sample(EIGHTHS, count - 1))
    parts = [_part(random, blocks, until) for until in (*ends, None)]
    denoise = random.uniform(0.6, 0.95) if random.random() < 0.2 else 1.0
    return tidied(parts, "never" if random.random() < 0.1 else "auto", denoise)


def _part(random: Random, blocks: int, until: float | None) -> Part:
    name = random.choice(list(FORMS))
    form = FORMS[name]
    start, end = (random.uniform(form.low, form.high) for _ in range(2))
    shape = random.choice(SHAPES[1:]) if random.random() < 0.4 else "constant"
    layers = _layers(random, blocks) if random.random() < 0.3 else None
    return Part(name, start, end, shape, layers, until)


def _layers(random: Random, blocks: int) -> tuple[int, int]:
    first, last = sorted((random.randrange(blocks), random.randrange(blocks)))
    return first, last


def tidied(parts: list[Part], vision: str, denoise: float) -> Candidate:
    """Return a candidate whose numbers are rounded and in range, without what has no effect."""
    made: list[Part] = []
    for part in parts:
        form = FORMS[part.form]
        start, end = (
            _rounded(min(form.high, max(form.low, value))) for value in (part.start, part.end)
        )
        shape = "constant" if start == end else part.shape
        layers = part.layers if part.form in LAYERED else None
        made.append(Part(part.form, start, start if shape == "constant" else end, shape, layers,
                         part.until))  # fmt: skip
    made[-1] = attrs.evolve(made[-1], until=None)
    return Candidate(tuple(made), vision, _rounded(denoise))


def _rounded(value: float) -> float:
    return round(round(value / GRAIN) * GRAIN, 2)


def child(random: Random, parents: list[Candidate], blocks: int) -> Candidate:
    """Return a new candidate: one parent with one or two changes, or two parents crossed."""
    mother = random.choice(parents)
    if len(parents) > 1 and random.random() < 0.3:
        mother = _crossed(random, mother, random.choice(parents))
    for _ in range(random.choice((1, 1, 2))):
        mother = _changed(random, mother, blocks)
    return mother


def _crossed(random: Random, one: Candidate, other: Candidate) -> Candidate:
    """The first stage of one and the last of the other."""
    until = one.parts[0].until or random.choice(EIGHTHS)
    parts = [attrs.evolve(one.parts[0], until=until), other.parts[-1]]
    return tidied(parts, one.vision, other.denoise)


def _changed(random: Random, held: Candidate, blocks: int) -> Candidate:
    """Change one thing."""
    what = random.choices(
        ("strength", "shape", "form", "layers", "split", "join", "denoise", "vision"),
        (6, 2, 2, 2, 1.5, 1, 1, 0.5),
    )[0]
    parts, vision, denoise = list(held.parts), held.vision, held.denoise
    place = random.randrange(len(parts))
    part = parts[place]
    if what == "strength":
        parts[place] = attrs.evolve(
            part, start=part.start + random.gauss(0, 0.15), end=part.end + random.gauss(0, 0.15)
        )
    elif what == "shape":
        other = _part(random, blocks, part.until)
        parts[place] = attrs.evolve(part, shape=random.choice(SHAPES), end=other.end)
    elif what == "form":
        parts[place] = _part(random, blocks, part.until)
    elif what == "layers":
        parts[place] = attrs.evolve(part, layers=random.choice((None, _layers(random, blocks))))
    elif what == "split":
        _split(random, parts, place, blocks)
    elif what == "join" and len(parts) > 1:
        del parts[place]
    elif what == "denoise":
        denoise = random.choice((1.0, min(1.0, max(0.5, denoise + random.gauss(0, 0.1)))))
    elif what == "vision":
        vision = "never" if vision == "auto" else "auto"
    return tidied(parts, vision, denoise)


def _split(random: Random, parts: list[Part], place: int, blocks: int) -> None:
    """Put a new stage before one, where there is room."""
    before = parts[place - 1].until if place else 0.0
    room = [it for it in EIGHTHS if (before or 0.0) < it < (parts[place].until or 1.0)]
    if room and len(parts) < 3:
        parts.insert(place, _part(random, blocks, random.choice(room)))
