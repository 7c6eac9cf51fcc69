"""Compiling strategies for the steps of a run: who ends when, and how strong each step is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from refhooks._bands import ARTIFACTS_ABOVE
from refhooks._registry import load_registry
from refhooks._request import MAX_STEPS, whole
from refhooks._schedule import StageStep
from refhooks._strategy import (
    MAX_STRENGTH,
    Reference,
    Stage,
    Strategy,
    as_strategy,
    method_name,
    number,
)
from refhooks._timetable import Planned, Timetable
from refhooks._values import Row, Step
from refhooks.errors import InputError, RefhooksWarning, StrategyError

if TYPE_CHECKING:
    from refhooks._bound import Method
    from refhooks._editor import Editor
    from refhooks._family import Size
    from refhooks._registry import Registry
    from refhooks._schedule import Schedule, Switch

__all__ = ["compile_timetable", "plan"]

NATIVE = "native"  # how a plan without a model names its own way to take a reference


def plan(
    what: Strategy | Stage | Method | str | Sequence[Reference],
    steps: int | None = None,
    *,
    editor: Editor | None = None,
    height: int | None = None,
    width: int | None = None,
    resolution: int | None = None,
) -> Timetable:
    """Return what every reference would do at every step, without running anything.

    Args:
        what: A strategy (or stage, method, its name) of one reference, or a list of references.
        steps: Number of steps; ``None``: that of the editor's model.
        editor: Its noise levels are used. ``None``: unshifted ones, from 1 down by 1/steps; only a
            strategy that depends on the noise level may then differ from what a model does.
        height: Of the output in pixels; noise levels may depend on it.
        width: Likewise.
        resolution: Likewise, as a pixel area.

    Raises:
        InputError: The strategy does not fit that many steps, or neither says how many.
        UnknownNameError: A name that no live plugin registers.
    """
    registry = load_registry() if editor is None else editor.registry
    native = NATIVE if editor is None else editor.family.native
    references = _references(what)
    strategies = [as_strategy(reference.strategy, native) for reference in references]
    for strategy, reference in zip(strategies, references, strict=True):
        for stage in strategy.stages if reference.strategy is not None else ():
            if isinstance(stage.method, str):
                registry.method(stage.method)
    total = steps if editor is None or steps is not None else editor.family.default_steps
    if total is None:
        raise InputError("steps is missing; only a model has a number of its own")
    total = whole(total, "steps", 1, MAX_STEPS)
    sigmas: Sequence[float] = [(total - index) / total for index in range(total)]
    if editor is not None:
        size = _size(editor, references[0], height, width, resolution)
        _, sigmas, _ = editor.family.schedule(total, size)
    return compile_timetable(strategies, sigmas, registry)


def _size(
    editor: Editor,
    source: Reference,
    height: int | None,
    width: int | None,
    resolution: int | None,
) -> Size:
    """The picture gives the shape, where it is given and the shape is not."""
    from refhooks._pictures import load_picture  # noqa: PLC0415  imports PIL

    shaped = source.image == "" or (height is not None and width is not None)
    picture = None if shaped else load_picture(source.image)
    return editor.family.output_size(picture, height, width, resolution)


def _references(what: Any) -> tuple[Reference, ...]:
    listed = isinstance(what, Sequence) and not isinstance(what, str)
    if not listed:
        return (Reference("", what),)
    if not what or not all(isinstance(entry, Reference) for entry in what):
        raise InputError(f"plan a strategy, or a list of references, got {what!r:.80}")
    return tuple(what)


def compile_timetable(
    strategies: Sequence[Strategy], sigmas: Sequence[float], registry: Registry
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
    strategy: Strategy, reference: int, steps: Sequence[Step], registry: Registry
) -> list[Row]:
    rows: list[Row] = []
    for place, stage in enumerate(strategy.stages):
        method = method_name(stage.method)
        label = f"reference {reference + 1}, stage {place + 1} (method {method!r})"
        start, end = len(rows), _end(stage, len(rows), steps, registry, label)
        inside = [StageStep(step.index - start, end - start, step) for step in steps[start:end]]
        rows += [
            Row(reference=reference, stage=place, method=method, strength=strength)
            for strength in _strengths(stage, inside, registry, label)
        ]
    if len(rows) < len(steps):
        raise _ended_early(strategy.stages[-1], reference, steps[len(rows)])
    return rows


def _end(stage: Stage, start: int, steps: Sequence[Step], registry: Registry, label: str) -> int:
    """Return the index of the first step that is no longer the stage's."""
    if stage.until is None:
        return len(steps)
    switch = registry.switch_at(stage.until) if isinstance(stage.until, float) else stage.until
    for step in steps[start:]:
        if _ended(switch, StageStep(step.index - start, len(steps) - start, step), label):
            return step.index
    return len(steps)


def _ended(switch: Switch, step: StageStep, label: str) -> bool:
    try:
        ended = switch.ended(step)
    except BaseException as error:
        error.add_note(f"raised by {label}, switch {switch.name!r}, at {_at(step)}")
        raise
    if not isinstance(ended, bool):
        raise StrategyError(
            f"{label}: switch {switch.name!r} at {_at(step)} must say True or False,"
            f" got {ended!r:.80}"
        )
    return ended


def _ended_early(stage: Stage, reference: int, step: Step) -> StrategyError:
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


def _strengths(
    stage: Stage, steps: Sequence[StageStep], registry: Registry, label: str
) -> tuple[float, ...]:
    if not steps:
        warnings.warn(f"{label} gets no step", RefhooksWarning, stacklevel=2)
        return ()
    strengths = _given(stage.strength, steps, registry, label)
    if max(strengths) > ARTIFACTS_ABOVE:
        warnings.warn(
            f"{label}: strength {max(strengths):g} is above {ARTIFACTS_ABOVE}, where artifacts are"
            " likely; below 1.3 is usually enough",
            RefhooksWarning,
            stacklevel=2,
        )
    return strengths


def _given(
    given: float | tuple[float, ...] | Schedule | str,
    steps: Sequence[StageStep],
    registry: Registry,
    label: str,
) -> tuple[float, ...]:
    if isinstance(given, float):
        return (given,) * len(steps)
    if isinstance(given, str):
        try:
            given = registry.schedule_from(given)
        except InputError as error:
            raise StrategyError(f"{label}: {error}") from error
    if not isinstance(given, tuple):
        return tuple(_scheduled(given, step, label) for step in steps)
    if len(given) != len(steps):
        raise StrategyError(
            f"{label}: strength lists {len(given)} numbers, but the stage has {len(steps)} steps"
        )
    return given


def _scheduled(schedule: Schedule, step: StageStep, label: str) -> float:
    try:
        value = schedule.strength(step)
    except InputError as error:
        raise StrategyError(f"{label}: schedule {schedule.name!r}: {error}") from error
    except BaseException as error:
        error.add_note(f"raised by {label}, schedule {schedule.name!r}, at {_at(step)}")
        raise
    if type(value) is float and 0.0 <= value <= MAX_STRENGTH:
        return value
    where = f"{label}: schedule {schedule.name!r} at {_at(step)}: strength"
    return number(value, where, 0.0, MAX_STRENGTH)


def _at(step: StageStep) -> str:
    return f"step {step.run.index + 1} of {step.run.total}"
