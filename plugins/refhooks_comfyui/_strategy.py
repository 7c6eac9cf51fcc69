"""References and their strategies, of prompts that act over parts of the run."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs

from refhooks import Mask, Reference, Stage, Strategy
from refhooks_comfyui._positions import NATIVE, options_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from refhooks import Registry
    from refhooks_comfyui._checkpoints import Checkpoint
    from refhooks_comfyui._conditioning import Branch, Shown
    from refhooks_comfyui._model import Patched
    from refhooks_comfyui._reading import MaskOf, Reading
    from refhooks_comfyui._sampling import Sampling

MAX_STRENGTH = 2.0
BETWEEN, KEYS = "guidance", "cross_attn"  # methods: between two predictions, by attention

Place = tuple[str, int]  # the picture's file, and which of several of that name
Part = tuple[str, float]  # a method and a strength


@attrs.define
class Maker:
    """Makes references of branches.

    Attributes:
        reading: The workflow.
        sampling: Where what is of no one node is said.
        patched: The model.
        registry: Methods are named from it.
        folder: That pictures are in.
    """

    reading: Reading
    sampling: Sampling
    patched: Patched
    registry: Registry
    folder: Path

    def references(self, branches: Sequence[Branch]) -> list[Reference]:
        """Return the references, in the order in which the model gets them."""
        self._check_times(branches)
        places = _places(branches)
        checkpoint = self.patched.checkpoint
        if checkpoint.guidance != "unknown" and len(places) > checkpoint.pictures:
            self.reading.notes.none(self.sampling.sampler, f"{len(places)} pictures;"
                                    f" {checkpoint.name} takes {checkpoint.pictures}")  # fmt: skip
        methods = [branch.method for branch in branches if branch.method is not None]
        positions = options_of(
            methods[0] if methods else None, len(places), checkpoint, self.reading.notes,
            self.registry,
        )  # fmt: skip
        return [
            self._reference(place, number, branches, positions)
            for number, place in enumerate(places)
        ]

    def _reference(
        self, place: Place, number: int, branches: Sequence[Branch], positions: dict[str, Any]
    ) -> Reference:
        found = [(branch, _shown(branch, place)) for branch in branches]
        shown = next(it for _, it in found if it is not None)
        parts = self._parts(found)
        stages = [
            self._stage(part, shown, number, positions, None if end >= 1.0 else end)
            for part, end in parts
        ]
        vision = self._vision([it for _, it in found if it is not None])
        masks = [*self._content(shown), *self._region(found, parts)]
        plain = [Stage(NATIVE)] == stages and not masks and vision == "auto"
        strategy = None if plain else Strategy(stages, masks=masks, vision=vision)
        return Reference(self.folder / shown.picture.file, strategy, resolution=_resolution(shown))

    def _parts(self, found: list[tuple[Branch, Shown | None]]) -> list[tuple[Part, float]]:
        """The method and strength of each part of the run, and where it ends."""
        ends = {0.0, 1.0}
        for branch, shown in found:
            ends |= {branch.start, branch.end}
            ends |= set() if shown is None else {shown.start, shown.end}
        points = sorted(end for end in ends if 0.0 <= end <= 1.0)
        parts: list[tuple[Part, float]] = []
        for start, end in pairwise(points):
            part = _part(found, (start + end) / 2)
            if parts and parts[-1][0] == part:
                parts.pop()
            parts.append((part, end))
        return parts

    def _stage(
        self, part: Part, shown: Shown, number: int, positions: dict[str, Any], until: float | None
    ) -> Stage:
        method, strength = part
        if method == BETWEEN or strength == 0.0:
            if positions and strength:
                self.reading.notes.none(self.sampling.sampler, "positions, where prompts with and"
                                        " without the picture are mixed")  # fmt: skip
            return Stage(method, strength, until=until)
        for place, factor, node in self.patched.keys:
            if place not in {number, -1} or factor == 1.0:
                continue
            if not 0.0 <= factor <= MAX_STRENGTH:
                self.reading.notes.none(node, f"a factor of {factor:g}; strengths here go from 0 to"
                                        " 2, so it is left at 1")  # fmt: skip
                continue
            self.reading.notes.near(node, "it scales keys and values; cross_attn with gain = 'keys'"
                                    " scales the keys alone, and sets no positions, nor scales"
                                    " latents")  # fmt: skip
            return Stage(self.registry.method(KEYS, {"gain": "keys"}), factor, until=until)
        return self._scaled(shown, positions, until)

    def _scaled(self, shown: Shown, positions: dict[str, Any], until: float | None) -> Stage:
        """Latents times a strength: what ``default`` does, above 1 where it is asked to."""
        strength, options = shown.strength, dict(positions)
        if not 0.0 <= strength <= MAX_STRENGTH:
            self.reading.notes.none(self.sampling.sampler, f"{shown.picture.file!r}: a strength of"
                                    f" {strength:g}; strengths here go from 0 to 2, so it is left"
                                    " at 1")  # fmt: skip
            strength = 1.0
        if strength > 1.0:
            options["above_one"] = "latents"
        method = self.registry.method(NATIVE, options) if options else NATIVE
        return Stage(method, strength, until=until)

    def _vision(self, shown: list[Shown]) -> Any:
        """The text encoder sees a picture here whenever the model gets it."""
        if not any(it.tokens for it in shown):
            return "always"
        sees = self.patched.checkpoint.vision
        return "never" if sees and not any(it.seen for it in shown) else "auto"

    def _content(self, shown: Shown) -> list[Mask]:
        if shown.mask is None:
            return []
        made = self.shape(shown.mask)
        return [Mask(made, kind="content", invert=turned(shown.mask), soft=shown.soft,
                     strength=shown.hold)]  # fmt: skip

    def _region(
        self, found: list[tuple[Branch, Shown | None]], parts: list[tuple[Part, float]]
    ) -> list[Mask]:
        masks = [branch.mask for branch, shown in found if shown is not None and branch.mask]
        if not masks:
            return []
        if not any(method == BETWEEN for (method, _), _ in parts):
            self.reading.notes.none(self.sampling.sampler, "a prompt that acts in a part of the"
                                    " picture; masks here are of references")  # fmt: skip
            return []
        return [Mask(self.shape(masks[0]), kind="region", invert=turned(masks[0]))]

    def shape(self, mask: MaskOf) -> Any:
        """Return the shape of a mask."""
        path = self.folder / mask.file
        return self.registry.shape({"alpha" if mask.alpha else "image": path}, None)

    def _check_times(self, branches: Sequence[Branch]) -> None:
        """Every part of the run has a prompt, and all of them the same."""
        sampler, notes = self.sampling.sampler, self.reading.notes
        ends = sorted({0.0, 1.0} | {it.start for it in branches} | {it.end for it in branches})
        for start, end in pairwise(ends):
            middle = (start + end) / 2
            if 0 < middle < 1 and not any(it.start <= middle < it.end for it in branches):
                notes.none(sampler, f"no prompt acts from {start:g} to {end:g} of the run; here it"
                           " acts at every step")  # fmt: skip
        if len({it.text for it in branches if not it.zeroed}) > 1:
            notes.none(sampler, "several prompts; here one holds for the whole run, the first")
        if len(branches) == 1 and branches[0].strength != 1.0:
            notes.near(sampler, "the strength of an only prompt, which has no effect there either")


def _part(found: list[tuple[Branch, Shown | None]], middle: float) -> Part:
    """Among prompts that act at once ComfyUI takes the mean of what they predict, by strength."""
    active = [(branch, it) for branch, it in found if branch.start <= middle < branch.end]
    if not active:  # nothing acts there; here the prompt does
        active = found
    whole = sum(branch.strength for branch, _ in active)
    having = sum(
        branch.strength for branch, it in active
        if it is not None and it.tokens and it.start <= middle < it.end
    )  # fmt: skip
    if having <= 0.0 or whole <= 0.0:
        return NATIVE, 0.0
    return (NATIVE, 1.0) if having >= whole else (BETWEEN, round(having / whole, 6))


def _places(branches: Sequence[Branch]) -> list[Place]:
    """All pictures, each as often as one prompt has it."""
    places: list[Place] = []
    for branch in branches:
        count: dict[str, int] = {}
        for shown in branch.shown:
            name = shown.picture.file
            place = (name, count.get(name, 0))
            count[name] = place[1] + 1
            if place not in places:
                places.append(place)
    return places


def _shown(branch: Branch, place: Place) -> Shown | None:
    same = [shown for shown in branch.shown if shown.picture.file == place[0]]
    return same[place[1]] if place[1] < len(same) else None


def turned(mask: MaskOf) -> bool:
    """Return whether a mask is the other way round here: what is opaque counts in ``alpha``."""
    return mask.alpha != mask.invert


def _resolution(shown: Shown) -> Any:
    """Latents have the size of what was encoded; nodes that encode by themselves resize."""
    area = shown.picture.area
    if shown.seen or area == 0 or not shown.tokens:
        return None
    return "native" if area is None else area


def checkpoint_notes(checkpoint: Checkpoint, patched: Patched, reading: Reading) -> None:
    """Say which model is taken, and how to have the workflow's own file."""
    if patched.loader is None:
        return
    file = patched.weights[:200]
    if checkpoint.repository:
        reading.notes.near(patched.loader, f"{file!r} is taken for {checkpoint.name}; add"
                           " --transformer FILE to use this very file")  # fmt: skip
    else:
        text = f"put the folder or repository of the model that {file!r} belongs to in the place"
        reading.notes.todo(patched.loader, f"{text} of MODEL, or import with --model")
