"""A strategy compiled for N steps: what every reference does at every step."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import attrs

from refhooks._strategy import Stage, Strategy, method_name
from refhooks._values import Row, Step
from refhooks.errors import RefhooksWarning, StrategyError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Planned", "Timetable"]

ARTIFACTS_ABOVE = 1.5


@attrs.frozen
class Planned:
    """One step of a timetable.

    Attributes:
        step: Where it stands in the run.
        rows: One row a reference, in the order of the call.
    """

    step: Step
    rows: tuple[Row, ...]


@attrs.frozen
class Timetable:
    """What every reference does at every step; what is planned is what runs.

    Attributes:
        steps: One entry a step.
    """

    steps: tuple[Planned, ...]

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Noise level before each step, 1 → 0."""
        return tuple(planned.step.sigma for planned in self.steps)

    def strengths(self, reference: int, stage: int | None = None) -> tuple[float, ...]:
        """Return a reference's strength at each step, 0 where another stage is in force."""
        rows = [planned.rows[reference] for planned in self.steps]
        return tuple(row.strength if stage in (None, row.stage) else 0.0 for row in rows)

    def __str__(self) -> str:
        """Return a plain-text table, one line a step."""
        references = range(len(self.steps[0].rows))
        heads = ["step", "sigma", *[f"reference {number + 1}" for number in references]]
        body = [
            [
                f"{planned.step.index + 1}/{planned.step.total}",
                f"{planned.step.sigma:.3f}",
                *[f"{row.method} {row.strength:.2f}" for row in planned.rows],
            ]
            for planned in self.steps
        ]
        widths = [max(map(len, column)) for column in zip(heads, *body, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in [heads, *body]
        ]
        return "\n".join(lines)


def compile_timetable(strategies: Sequence[Strategy], sigmas: Sequence[float]) -> Timetable:
    """Compile one strategy a reference for the steps that have these noise levels.

    Raises:
        StrategyError: A list of strengths is not as long as its stage has steps, or the last stage
            ends before the run does.
    """
    total = len(sigmas)
    steps = [Step(index=index, total=total, sigma=sigma) for index, sigma in enumerate(sigmas)]
    columns = [_column(strategy, number, steps) for number, strategy in enumerate(strategies)]
    return Timetable(
        tuple(
            Planned(step, tuple(column[index] for column in columns))
            for index, step in enumerate(steps)
        )
    )


def _column(strategy: Strategy, reference: int, steps: Sequence[Step]) -> list[Row]:
    stages = [_stage_at(strategy, step, reference) for step in steps]
    rows: list[Row] = []
    for number, stage in enumerate(strategy.stages):
        label = (
            f"reference {reference + 1}, stage {number + 1} (method {method_name(stage.method)!r})"
        )
        strengths = _strengths(stage, stages.count(number), label)
        rows += [
            Row(reference=reference, stage=number, method=method_name(stage.method), strength=value)
            for value in strengths
        ]
    return rows


def _stage_at(strategy: Strategy, step: Step, reference: int) -> int:
    for number, stage in enumerate(strategy.stages):
        if stage.until is None or step.progress < stage.until:
            return number
    raise StrategyError(
        f"reference {reference + 1}: the last stage ends at progress"
        f" {strategy.stages[-1].until:g}, but step {step.index + 1} of {step.total} is at"
        f" {step.progress:.3g}; leave its until out, or add a stage"
    )


def _strengths(stage: Stage, count: int, label: str) -> tuple[float, ...]:
    if count == 0:
        warnings.warn(f"{label} gets no step", RefhooksWarning, stacklevel=2)
        return ()
    given = stage.strength
    strengths = given if isinstance(given, tuple) else (given,) * count
    if len(strengths) != count:
        raise StrategyError(
            f"{label}: strength lists {len(strengths)} numbers, but the stage has {count} steps"
        )
    if max(strengths) > ARTIFACTS_ABOVE:
        warnings.warn(
            f"{label}: strength {max(strengths):g} is above {ARTIFACTS_ABOVE}, where artifacts are"
            " likely; below 1.3 is usually enough",
            RefhooksWarning,
            stacklevel=2,
        )
    return strengths
