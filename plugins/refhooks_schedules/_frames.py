"""Schedules made of several strengths: parts, keyframes, a window."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import attrs
from attrs import validators

from refhooks import StrategyError
from refhooks_schedules._options import (
    MAX_ENTRIES,
    MAX_STRENGTH,
    in_range,
    is_number,
    numbers_of,
    progress,
    strength,
)

if TYPE_CHECKING:
    from refhooks import StageStep

__all__ = ["Keyframe", "Keyframes", "Steps", "Window"]


def _listed(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a list with at least one entry, got {value!r:.80}")
    if len(value) > MAX_ENTRIES:
        raise ValueError(f"{name} lists {len(value)} entries; at most {MAX_ENTRIES}")
    return value


def _values(value: Any) -> tuple[float, ...]:
    for place, entry in enumerate(_listed(value, "values")):
        in_range(entry, f"values[{place}]", 0.0, MAX_STRENGTH)
    return tuple(value)


@attrs.frozen
class Steps:
    """``values[floor(k·m/n)]`` at step ``k`` of ``n``: ``m`` values, each for an equal part.

    Where the stage has fewer steps than there are values, some of them get none.

    Attributes:
        values: Strengths, 0–2.
    """

    name: ClassVar[str] = "steps"

    values: tuple[float, ...] = attrs.field(converter=_values)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"values": (0.4, 0.7, 1.0)}]

    def strength(self, step: StageStep) -> float:
        """Return the value of the part that the step is in."""
        return self.values[step.index * len(self.values) // step.total]


class Keyframe(NamedTuple):
    """A strength at a progress of the stage.

    Attributes:
        progress: 0–1.
        strength: 0–2.
        guarantee_steps: How many steps have exactly this strength, whatever lies between them.
    """

    progress: float
    strength: float
    guarantee_steps: int = 0


def _frames(value: Any) -> tuple[Keyframe, ...]:
    frames = [
        _frame(entry, f"frames[{place}]") for place, entry in enumerate(_listed(value, "frames"))
    ]
    for place, (frame, after) in enumerate(itertools.pairwise(frames), 1):
        if after.progress <= frame.progress:
            raise ValueError(
                f"frames[{place}]: progress must be above that of the frame before,"
                f" {frame.progress:g}; got {after.progress:g}"
            )
    return tuple(frames)


def _frame(value: Any, label: str) -> Keyframe:
    listed = isinstance(value, Sequence) and not isinstance(value, str) and len(value) in {2, 3}
    if not listed:
        raise ValueError(
            f"{label} must be [progress, strength] or [progress, strength, guarantee_steps],"
            f" got {value!r:.80}"
        )
    frame = Keyframe(*value)
    in_range(frame.progress, f"{label}: progress", 0.0, 1.0)
    in_range(frame.strength, f"{label}: strength", 0.0, MAX_STRENGTH)
    whole = isinstance(frame.guarantee_steps, int) and not isinstance(frame.guarantee_steps, bool)
    if not whole or not 0 <= frame.guarantee_steps <= 1000:
        raise ValueError(
            f"{label}: guarantee_steps must be a whole number from 0 to 1000,"
            f" got {frame.guarantee_steps!r:.80}"
        )
    return frame


@attrs.frozen
class Keyframes:
    """Strengths at places of the stage, and between them by ``interpolation``.

    Before the first frame its strength holds, and after the last frame its own. With few steps a
    frame may fall between two of them. ``guarantee_steps`` of a frame says how many steps have
    exactly its strength: the first step at or after it, and those that follow; frames with such a
    promise wait for each other (ComfyUI's Advanced-ControlNet has an option of that name).

    Attributes:
        frames: ``(progress, strength)`` or ``(progress, strength, guarantee_steps)``, rising.
        interpolation: Between two frames, with ``u`` from 0 at the first to 1 at the second:
            ``hold`` the first one's strength, ``linear`` (``u``) or ``cosine`` (``(1 − cos
            πu)/2``).
    """

    name: ClassVar[str] = "keyframes"
    short: ClassVar[str] = "PROGRESS@STRENGTH,PROGRESS@STRENGTH,..."

    frames: tuple[Keyframe, ...] = attrs.field(converter=_frames)
    interpolation: Literal["hold", "linear", "cosine"] = attrs.field(
        default="linear", validator=validators.in_(("hold", "linear", "cosine"))
    )
    _places: tuple[float, ...] = attrs.field(init=False, eq=False, repr=False)
    _promised: tuple[Keyframe, ...] = attrs.field(init=False, eq=False, repr=False)

    @_places.default
    def _all_places(self) -> tuple[float, ...]:
        return tuple(frame.progress for frame in self.frames)

    @_promised.default
    def _all_promised(self) -> tuple[Keyframe, ...]:
        return tuple(frame for frame in self.frames if frame.guarantee_steps)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what ``0@0.4,0.5@0.8,1@1.2`` (progress@strength) means, or ``None``."""
        frames = [numbers_of(part, "@", 2) for part in text.split(",")]
        return None if None in frames else cls(frames)

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [
            {"frames": [(0.0, 0.4), (0.5, 1.0)], "interpolation": kind}
            for kind in ("hold", "linear", "cosine")
        ]

    def strength(self, step: StageStep) -> float:
        """Return a promised strength, or the one at the step's progress.

        Raises:
            StrategyError: The stage has too few steps to keep every promise.
        """
        promised = self._kept(step) if self._promised else None
        return self._between(step.progress) if promised is None else promised

    def _between(self, place: float) -> float:
        after = bisect.bisect_right(self._places, place)
        before = self.frames[max(0, after - 1)]
        if after in {0, len(self.frames)} or self.interpolation == "hold":
            return before.strength
        share = (place - before.progress) / (self._places[after] - before.progress)
        if self.interpolation == "cosine":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        return before.strength + (self.frames[after].strength - before.strength) * share

    def _kept(self, step: StageStep) -> float | None:
        """Walk the stage up to the step, and give each promised frame its steps as they come."""
        waiting, left, kept = iter(self._promised), 0, None
        frame = next(waiting, None)
        for index in range(step.index + 1):
            place = index / (step.total - 1) if step.total > 1 else 0.0
            kept = None
            if frame is not None and frame.progress <= place:
                kept, left = frame.strength, (left or frame.guarantee_steps) - 1
                frame = frame if left else next(waiting, None)
        if frame is not None and step.index == step.total - 1:
            raise StrategyError(
                f"the frame at progress {frame.progress:g} is guaranteed {frame.guarantee_steps}"
                f" step(s), which a stage of {step.total} step(s) does not have left for it"
            )
        return kept


@attrs.frozen
class Window:
    """``value`` while ``start <= p <= end``, 0 outside, with ``p`` the stage's progress.

    Attributes:
        value: Strength inside, 0–2.
        start: Progress at which it begins, 0–1.
        end: Progress at which it ends, 0–1; a step at that progress is inside.
    """

    name: ClassVar[str] = "window"

    value: float = attrs.field(validator=strength)
    start: float = attrs.field(default=0.0, validator=progress)
    end: float = attrs.field(default=1.0, validator=progress)

    @end.validator
    def _rises(self, _: object, value: float) -> None:
        if is_number(self.start) and value < self.start:
            raise ValueError(f"end must be at or above start, {self.start:g}; got {value:g}")

    @classmethod
    def examples(cls) -> list[dict[str, Any]]:
        """Return options to check it with."""
        return [{"value": 0.7, "start": 0.25, "end": 0.75}]

    def strength(self, step: StageStep) -> float:
        """Return the strength inside, or 0."""
        return self.value if self.start <= step.progress <= self.end else 0.0
