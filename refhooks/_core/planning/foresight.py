"""What the methods of a plan say of it beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._base.hooks_built import builds
from refhooks._base.shown import shown
from refhooks._core.contract.methods import edits_prefix
from refhooks._core.contract.outlook import Outlook, PlannedStage
from refhooks._core.plugins.labels import naming_method
from refhooks.errors import InputError, PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.contract.methods import Method, ModelInfo
    from refhooks._core.contract.values import Planned
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.plugins.registry import Registry

_UNSAID = ", which does not say that it leaves attention alone (Outlook(attention=False))"


def foresee(
    timetable: Timetable,
    methods: Sequence[Sequence[Method]],
    registry: Registry,
    *,
    model: ModelInfo | None = None,
    batch: int | None = None,
    passes: int | None = None,
    attending: list[str] | None = None,
) -> Timetable:
    """Return the timetable with what the methods of each reference's stages foresee.

    Those that edit attention, or may do so, are added to ``attending``.

    Raises:
        InputError: A method sees that it cannot do what is planned, or methods exclude each other.
        PluginError: A method says nonsense of it.
    """
    steered = (*timetable.steered, *_steering(methods))
    reused: set[tuple[int, int]] = set()
    remarks: list[str] = []
    for reference, stages in enumerate(methods):
        rows = tuple(planned.rows[reference] for planned in timetable.steps)
        for stage, method in enumerate(stages):
            planned = PlannedStage(
                reference, stage, rows, model, batch, passes, steered=bool(steered)
            )
            outlook = outlook_of(method, planned, registry)
            remarks += _beyond(method, planned)
            reused.update((step, reference) for step in outlook.reused)
            remarks += outlook.remarks
            if outlook.attention is not False and attending is not None:
                unsaid = _UNSAID if outlook.attention is None else ""
                attending.append(f"{method.name} of reference {reference + 1}{unsaid}")
    if reused and model is not None and model.sight == "prefix":
        _check_kept([method for stages in methods for method in stages], model)
    return attrs.evolve(
        timetable,
        steps=tuple(_marked(planned, reused) for planned in timetable.steps),
        remarks=tuple(dict.fromkeys(remarks)),
        steered=steered,
    )


def _beyond(method: Method, planned: PlannedStage) -> list[str]:
    """What is said of strengths above that at which the dial of a method ends."""
    end = getattr(method, "dial_end", None)
    most = max((planned.rows[step].strength for step in planned.acting), default=0.0)
    if end is None or most <= end:
        return []
    number = planned.reference + 1
    return [
        f"reference {number}: strength {most:g} is beyond {end:g}, the end of {method.name}'s dial"
    ]


def _steering(methods: Sequence[Sequence[Method]]) -> list[str]:
    """The methods that may set strengths while a run goes."""
    return [
        f"{method.name} of reference {number}"
        for number, stages in enumerate(methods, 1)
        for method in stages
        if builds(method.bind, "refhooks_strengths")
    ]


def outlook_of(method: Method, planned: PlannedStage, registry: Registry) -> Outlook:
    """Return what a method foresees of a stage; nothing if it never acts.

    Whether it edits attention is read from the code of its ``bind`` where it does not say.

    Raises:
        InputError: The method sees that it cannot do what is planned.
        PluginError: What it returns is no outlook, or not one of this stage.
    """
    ask = getattr(method, "outlook", None)
    if not planned.acting:
        return Outlook(attention=False)
    with naming_method(method, "outlook", registry):
        outlook = Outlook() if ask is None else ask(planned)
    label = f"reference {planned.reference + 1}, stage {planned.stage + 1} (method {method.name!r})"
    if not isinstance(outlook, Outlook):
        raise PluginError(f"{label}: outlook must return a refhooks.Outlook, got {shown(outlook)}")
    shares = [*(outlook.tokens or ()), *(share for _, share in outlook.added)]
    steps = len(planned.rows)
    if (outlook.tokens is not None and len(outlook.tokens) != steps) or not all(
        0.0 <= share <= 1.0 for share in shares
    ):
        raise PluginError(
            f"{label}: an outlook's tokens must be one share from 0 to 1 for each of the {steps}"
            f" steps, and those of passes shares too; got {shown(outlook, 200)}"
        )
    if outlook.attention is None:
        return attrs.evolve(outlook, attention=builds(method.bind, "refhooks_attention"))
    return outlook


def _check_kept(methods: Sequence[Method], model: ModelInfo) -> None:
    """Refuse keys and values of an earlier step beside ones that are computed anew."""
    for method in methods:
        if edits_prefix(method):
            raise InputError(
                f"{method.name!r} has {model.family} compute text and references anew where its"
                " strength changes, so no reference's keys and values can be reused from step to"
                " step; leave reuse out, or the option that computes anew (scope='all')"
            )


def _marked(planned: Planned, reused: set[tuple[int, int]]) -> Planned:
    rows = tuple(
        attrs.evolve(row, reused=True, tokens=None if row.tokens is None else 0)
        if (planned.step.index, row.reference) in reused
        else row
        for row in planned.rows
    )
    return attrs.evolve(planned, rows=rows)
