"""What schedules, switches and mask shapes are, and what they are asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import attrs

from refhooks._base.numbers import is_list, number, unwrapped
from refhooks.errors import StrategyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.values import Step

    MaskForm = str | Path | Image | Sequence[object] | Tensor

__all__ = ["Covering", "MaskShape", "Schedule", "StageStep", "Switch"]


@attrs.frozen
class StageStep:
    """Where a step stands in its stage.

    More than a progress, because a strength may follow the noise level, and a promise such as "at
    least one step" needs the number of steps.

    Attributes:
        index: 0 for the stage's first step.
        total: Number of steps of the stage. Where a switch is asked, it is not yet known when the
            stage ends: then it is the number of steps from the stage's first to the run's last.
        run: Where the step stands in the run; ``run.progress`` is what ``until=0.5`` compares.
    """

    index: int
    total: int
    run: Step

    @property
    def progress(self) -> float:
        """``index / (total − 1)``: 0 at the stage's first step, 1 at its last; 0 if it has one."""
        return self.index / (self.total - 1) if self.total > 1 else 0.0

    @property
    def sigma(self) -> float:
        """Noise level before the step, 1 → 0."""
        return self.run.sigma


@runtime_checkable
class Schedule(Protocol):
    """Strength over the steps of a stage: a value (``@attrs.frozen``) whose options are its fields.

    A class may have a short form, for ``Stage(strength="0.4:1.0")`` and the command line: a class
    method ``parse(text)`` that returns an instance, or ``None`` where the text is not of its form,
    and ``short``, how its form is written in help and messages. One registered class may have
    ``calls``, the name of the option that a bare function sets: ``Stage(strength=lambda step: …)``
    is made through it.
    """

    name: ClassVar[str]

    def strength(self, step: StageStep) -> float:
        """Return the strength at a step of the stage, 0–2.

        Called once for each step, in order, when the timetable is compiled; never while an edit
        runs. Equal steps must give equal strengths.
        """
        ...


@runtime_checkable
class Switch(Protocol):
    """When a stage ends: a value (``@attrs.frozen``) whose options are its fields.

    One registered class may have ``number``, the name of the option that a bare number sets:
    ``Stage(until=0.5)`` is made through it; and one ``calls``, that of a bare function.
    """

    name: ClassVar[str]

    def ended(self, step: StageStep) -> bool:
        """Return whether the stage is over before this step.

        Called when the timetable is compiled, from the stage's first step on, until it is true; the
        next stage starts at that step.
        """
        ...


def strengths(strength: Any, label: str, high: float) -> float | tuple[float, ...] | Schedule | str:
    """Return a strength as a number, one a step, a schedule, or the short form of one.

    Raises:
        StrategyError: It is none of these, or a number is not in 0–``high``.
    """
    if isinstance(strength, Schedule) and not isinstance(strength, type):
        return strength
    strength = unwrapped(strength)
    if isinstance(strength, str) and not _reads_as_number(strength):
        return str.__str__(strength)
    if not is_list(strength):
        return number(strength, label, 0.0, high)
    if not strength:
        raise StrategyError(f"{label} is an empty list; give a number or one a step")
    return tuple(
        number(value, f"{label}[{place}]", 0.0, high) for place, value in enumerate(strength)
    )


def _reads_as_number(text: str) -> bool:
    """A number in quotes is a slip; what a short form means, a plugin says when it is compiled."""
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


class Covering(Protocol):
    """Anything that says what it covers of a picture: a mask, or a mask shape."""

    def cover(self, size: Size) -> Tensor:
        """Return how much of each pixel is covered, ``[height,width]``, float32, 0–1."""
        ...


@runtime_checkable
class MaskShape(Protocol):
    """What part of a picture is covered: a value (``@attrs.frozen``) whose options are its fields.

    A class may have ``key``, the name of the option that is enough to name it: ``mask(box=...)`` is
    made through it; a class method ``read(value)`` that returns an instance for a bare value such
    as a path, or ``None`` where the value is none of its forms, and ``short``, how its form is
    written in help and messages; and ``files``, the names of the options that are paths.
    """

    name: ClassVar[str]

    def cover(self, size: Size) -> Tensor:
        """Return how much of each pixel is covered.

        Args:
            size: Of the picture that the mask is laid on, as its user knows it.

        Returns:
            ``[height,width]``, float32 on the CPU, 0 (not covered) to 1.

        Raises:
            InputError: The shape does not fit such a picture.
        """
        ...
