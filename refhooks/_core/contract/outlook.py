"""What a method foresees of a stage when it is planned, and what it measured when it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._core.plugins.attribution import naming_method
from refhooks.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks._core.contract.methods import Method, ModelInfo
    from refhooks._core.contract.values import Row
    from refhooks._core.planning.timetable import Planned, Timetable
    from refhooks._core.plugins.registry import Registry

__all__ = ["Drift", "Outlook", "PlannedStage", "foresee"]


@attrs.frozen(eq=False)
class PlannedStage:
    """A stage of a reference, as far as a plan knows it.

    Attributes:
        reference: 0-based position of the reference in the call.
        stage: 0-based stage of its strategy.
        rows: What the reference does at each of the ``N`` steps; other stages' rows are among them.
        model: The model; ``None`` in a plan without one.
        batch: Pictures that are made at once, ``B``; ``None`` where no edit is planned.
        passes: Forward passes of a step, 2 with guidance; ``None`` likewise.
    """

    reference: int
    stage: int
    rows: tuple[Row, ...]
    model: ModelInfo | None = None
    batch: int | None = None
    passes: int | None = None

    @property
    def acting(self) -> tuple[int, ...]:
        """The steps at which the method is called."""
        return tuple(
            step
            for step, row in enumerate(self.rows)
            if row.stage == self.stage and row.strength > 0
        )


@attrs.frozen
class Outlook:
    """What a method will do in a stage.

    Attributes:
        reused: Steps, counted from 0, at which the model is given none of the reference's tokens
            and reads their keys and values of an earlier step.
        tokens: Share of the reference's tokens, 0–1, that the model is given at each of the ``N``
            steps of the run at which none is reused. ``None``: all, or none where the method says
            that it gives none.
        added: One entry for each forward pass that the method adds: the step, counted from 0, and
            the share of the reference's tokens that is given in that pass.
        remarks: Lines that a plan shows below its table; equal ones of several stages are shown
            once.
    """

    reused: tuple[int, ...] = ()
    tokens: tuple[float, ...] | None = None
    added: tuple[tuple[int, float], ...] = ()
    remarks: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class Drift:
    """How far a reference's keys and values had moved when they were stored anew.

    Attributes:
        reference: 0-based position of the reference in the call.
        branch: Name of the forward pass.
        step: At which they were stored, from 0.
        since: The step at which those before had been stored.
        blocks: Relative L2 distance ``‖new − old‖ / ‖new‖``, ``[blocks,B,2]``: of keys, of values.
    """

    reference: int
    branch: str
    step: int
    since: int
    blocks: Tensor = attrs.field(repr=False)

    @property
    def mean(self) -> float:
        """Mean over blocks, pictures, keys and values; 0: nothing moved."""
        return float(self.blocks.mean())

    @property
    def worst_block(self) -> tuple[int, float]:
        """The block, from 0, that moved most, and by how much."""
        each = self.blocks.flatten(1).mean(1)  # [blocks]
        block = int(each.argmax())
        return block, float(each[block])


def foresee(
    timetable: Timetable,
    methods: Sequence[Sequence[Method]],
    registry: Registry,
    *,
    model: ModelInfo | None = None,
    batch: int | None = None,
    passes: int | None = None,
) -> Timetable:
    """Return the timetable with what the methods of each reference's stages foresee.

    Raises:
        InputError: A method sees that it cannot do what is planned.
        PluginError: A method says nonsense of it.
    """
    reused: set[tuple[int, int]] = set()
    remarks: list[str] = []
    for reference, stages in enumerate(methods):
        rows = tuple(planned.rows[reference] for planned in timetable.steps)
        for stage, method in enumerate(stages):
            planned = PlannedStage(reference, stage, rows, model, batch, passes)
            outlook = outlook_of(method, planned, registry)
            reused.update((step, reference) for step in outlook.reused)
            remarks += outlook.remarks
    return attrs.evolve(
        timetable,
        steps=tuple(_marked(planned, reused) for planned in timetable.steps),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def outlook_of(method: Method, planned: PlannedStage, registry: Registry) -> Outlook:
    """Return what a method foresees of a stage; nothing if it does not say, or never acts.

    Raises:
        InputError: The method sees that it cannot do what is planned.
        PluginError: What it returns is no outlook, or not one of this stage.
    """
    ask = getattr(method, "outlook", None)
    if ask is None or not planned.acting:
        return Outlook()
    with naming_method(method, "outlook", registry):
        found = ask(planned)
    label = f"reference {planned.reference + 1}, stage {planned.stage + 1} (method {method.name!r})"
    if not isinstance(found, Outlook):
        raise PluginError(f"{label}: outlook must return a refhooks.Outlook, got {found!r:.80}")
    shares = [*(found.tokens or ()), *(share for _, share in found.added)]
    steps = len(planned.rows)
    if (found.tokens is not None and len(found.tokens) != steps) or not all(
        0.0 <= share <= 1.0 for share in shares
    ):
        raise PluginError(
            f"{label}: an outlook's tokens must be one share from 0 to 1 for each of the {steps}"
            f" steps, and those of passes shares too; got {found!r:.200}"
        )
    return found


def _marked(planned: Planned, reused: set[tuple[int, int]]) -> Planned:
    rows = tuple(
        attrs.evolve(row, reused=True, tokens=None if row.tokens is None else 0)
        if (planned.step.index, row.reference) in reused
        else row
        for row in planned.rows
    )
    return attrs.evolve(planned, rows=rows)
