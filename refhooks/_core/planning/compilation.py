"""Compiling strategies for the steps of a run: who ends when, and how strong each step is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

from refhooks._base.advice import warn_user
from refhooks._base.numbers import number
from refhooks._base.shown import shown
from refhooks._base.strength_names import ARTIFACTS_ABOVE
from refhooks._core.contract.protocols import StageStep
from refhooks._core.contract.values import Planned, Row, Step
from refhooks._core.planning.bounds import MAX_STRENGTH, read_strength
from refhooks._core.planning.timetable import Timetable
from refhooks._core.plugins.attribution import naming
from refhooks.errors import InputError, StrategyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.methods import Method
    from refhooks._core.contract.protocols import Schedule, Switch
    from refhooks._core.masks.mask import Mask
    from refhooks._core.plugins.registry import Registry

__all__ = ["compile_timetable", "method_name", "strengths_of", "strengths_over"]


class Steering(Protocol):
    """What is compiled of a ``Strategy``, which stands above: it shows itself compiled."""

    @property
    def stages(self) -> Sequence[Any]: ...
    @property
    def masks(self) -> Sequence[Mask]: ...


def method_name(method: str | Method) -> str:
    """Return the name of a method given by name or as an instance."""
    return str.__str__(method) if isinstance(method, str) else method.name


def compile_timetable(
    strategies: Sequence[Steering], sigmas: Sequence[float], registry: Registry
) -> Timetable:
    """Compile one strategy a reference for the steps that have these noise levels.

    Raises:
        StrategyError: A list of strengths is not as long as its stage has steps, a schedule gives
            no strength from 0 to 2, or the last stage ends before the run does.
        UnknownNameError: A short form that no live plugin knows.
    """
    total = len(sigmas)
    steps = [Step(index=index, total=total, sigma=sigma) for index, sigma in enumerate(sigmas)]
    columns = [
        _column(strategy, place, steps, registry) for place, strategy in enumerate(strategies)
    ]
    return Timetable(
        tuple(
            Planned(step, tuple(column[index] for column in columns))
            for index, step in enumerate(steps)
        )
    )


def _column(
    strategy: Steering, reference: int, steps: Sequence[Step], registry: Registry
) -> list[Row]:
    rows: list[Row] = []
    for place, stage in enumerate(strategy.stages):
        method = method_name(stage.method)
        label = f"reference {reference + 1}, stage {place + 1} (method {method!r})"
        start, end = len(rows), _end(stage, len(rows), steps, registry, label)
        rows += [
            Row(reference=reference, stage=place, method=method, strength=strength)
            for strength in strengths_of(stage.strength, steps[start:end], registry, label)
        ]
    if len(rows) < len(steps):
        raise _ended_early(strategy.stages[-1], reference, steps[len(rows)])
    masks = _mask_strengths(strategy, reference, steps, registry)
    return [attrs.evolve(row, masks=strengths) for row, strengths in zip(rows, masks, strict=True)]


def _mask_strengths(
    strategy: Steering, reference: int, steps: Sequence[Step], registry: Registry
) -> list[tuple[float, ...]]:
    """Return how much of each mask holds, for each step of the run."""
    whole = [StageStep(step.index, len(steps), step) for step in steps]
    columns = []
    for place, mask in enumerate(strategy.masks):
        label = f"reference {reference + 1}, mask {place + 1} ({mask.kind} {mask.shape.name!r})"
        strengths = _given(mask.strength, whole, registry, label, span="run")
        columns.append([number(strength, f"{label}: strength", 0.0, 1.0) for strength in strengths])
    return [tuple(column[step.index] for column in columns) for step in steps]


def _end(stage: Any, start: int, steps: Sequence[Step], registry: Registry, label: str) -> int:
    """Return the index of the first step that is no longer the stage's."""
    if stage.until is None:
        return len(steps)
    switch = registry.switch_at(stage.until) if isinstance(stage.until, float) else stage.until
    for step in steps[start:]:
        at = StageStep(step.index - start, len(steps) - start, step)
        if _ended(switch, at, label, registry.origin("switch", switch)):
            return step.index
    return len(steps)


def _ended(switch: Switch, step: StageStep, label: str, origin: str) -> bool:
    with naming(f"{label}, switch {switch.name!r}{origin}, at {_at(step)}"):
        ended = switch.ended(step)
    if not isinstance(ended, bool):
        raise StrategyError(
            f"{label}: switch {switch.name!r}{origin} at {_at(step)} must say True or False,"
            f" got {shown(ended)}"
        )
    return ended


def _ended_early(stage: Any, reference: int, step: Step) -> StrategyError:
    until = stage.until
    end = (
        f"at progress {until:g}"
        if isinstance(until, float)
        else f"by its switch {getattr(until, 'name', '')!r}"
    )
    return StrategyError(
        f"reference {reference + 1}: the last stage ends {end}, but step {step.index + 1} of"
        f" {step.total} is at {step.progress:.3g}; leave its until out, or add a stage"
    )


def strengths_of(
    strength: float | tuple[float, ...] | Schedule | str,
    steps: Sequence[Step],
    registry: Registry,
    label: str,
) -> tuple[float, ...]:
    """Return the strength at each of the steps of a stage; raises as :func:`compile_timetable`."""
    if not steps:
        warn_user(f"{label} gets no step")
        return ()
    inside = [StageStep(place, len(steps), step) for place, step in enumerate(steps)]
    strengths = _given(strength, inside, registry, label)
    if max(strengths) > ARTIFACTS_ABOVE:
        warn_user(
            f"{label}: strength {max(strengths):g} is above {ARTIFACTS_ABOVE}, where artifacts are"
            " likely; below 1.3 is usually enough"
        )
    return strengths


def _given(
    strength: float | tuple[float, ...] | Schedule | str,
    steps: Sequence[StageStep],
    registry: Registry,
    label: str,
    span: str = "stage",
) -> tuple[float, ...]:
    if isinstance(strength, float):
        return (strength,) * len(steps)
    if isinstance(strength, str):
        try:
            strength = registry.schedule_from(strength)
        except InputError as error:
            raise StrategyError(f"{label}: {error}") from error
    if not isinstance(strength, tuple):
        origin = registry.origin("schedule", strength)
        scheduled = [_scheduled(strength, step, label, origin) for step in steps]
        return tuple(scheduled)  # in a generator StopIteration would be lost
    if len(strength) != len(steps):
        raise StrategyError(
            f"{label}: strength lists {len(strength)} numbers, but the {span} has"
            f" {len(steps)} steps"
        )
    return strength


def _scheduled(schedule: Schedule, step: StageStep, label: str, origin: str) -> float:
    try:
        with naming(f"{label}, schedule {schedule.name!r}{origin}, at {_at(step)}"):
            value = schedule.strength(step)
    except InputError as error:
        raise StrategyError(f"{label}: schedule {schedule.name!r}: {error}") from error
    if type(value) is float and 0.0 <= value <= MAX_STRENGTH:
        return value
    where = f"{label}: schedule {schedule.name!r}{origin} at {_at(step)}:"
    return read_strength(value, where)


def _at(step: StageStep) -> str:
    return f"step {step.run.index + 1} of {step.run.total}"


def strengths_over(
    strength: float | tuple[float, ...] | Schedule | str,
    count: int,
    registry: Registry,
    label: str,
    high: float,
) -> tuple[float, ...]:
    """Return one strength for each of the edits of a chain.

    Raises:
        StrategyError: A list is not as long as the chain, or a schedule gives none from 0 to
            ``high``.
        UnknownNameError: A short form that no live plugin knows.
    """
    if isinstance(strength, tuple) and len(strength) != count:
        raise StrategyError(
            f"{label} lists {len(strength)} numbers, but the chain has {count} edits"
        )
    steps = [Step(index=place, total=count, sigma=1.0 - place / count) for place in range(count)]
    strengths = _given(
        strength, [StageStep(step.index, count, step) for step in steps], registry, label
    )
    return tuple(number(value, label, 0.0, high) for value in strengths)
