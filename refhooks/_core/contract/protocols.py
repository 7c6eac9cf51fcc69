"""What schedules and switches are, and what they are asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from refhooks._core.contract.values import Step

__all__ = ["Schedule", "StageStep", "Switch"]


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
    and ``short``, how its form is written in help and messages.
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
    ``Stage(until=0.5)`` is made through it.
    """

    name: ClassVar[str]

    def ended(self, step: StageStep) -> bool:
        """Return whether the stage is over before this step.

        Called when the timetable is compiled, from the stage's first step on, until it is true; the
        next stage starts at that step.
        """
        ...
