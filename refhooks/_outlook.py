"""What a method foresees of a stage when it is planned, and what it measured when it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from refhooks._bound import Method, ModelInfo
    from refhooks._timetable import Planned, Timetable
    from refhooks._values import Row

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
    methods: Sequence[Sequence[Method | None]],
    *,
    model: ModelInfo | None = None,
    batch: int | None = None,
    passes: int | None = None,
) -> Timetable:
    """Return the timetable with what the methods of each reference's stages foresee.

    Raises:
        InputError: A method sees that it cannot do what is planned.
    """
    reused: set[tuple[int, int]] = set()
    remarks: list[str] = []
    for reference, stages in enumerate(methods):
        rows = tuple(planned.rows[reference] for planned in timetable.steps)
        for stage, method in enumerate(stages):
            planned = PlannedStage(reference, stage, rows, model, batch, passes)
            for outlook in _outlooks(method, planned):
                reused.update((step, reference) for step in outlook.reused)
                remarks += outlook.remarks
    return attrs.evolve(
        timetable,
        steps=tuple(_marked(planned, reused) for planned in timetable.steps),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def _outlooks(method: Method | None, planned: PlannedStage) -> Iterator[Outlook]:
    ask = getattr(method, "outlook", None)
    if ask is not None and planned.acting:
        yield ask(planned)


def _marked(planned: Planned, reused: set[tuple[int, int]]) -> Planned:
    rows = tuple(
        attrs.evolve(row, reused=True, tokens=None if row.tokens is None else 0)
        if (planned.step.index, row.reference) in reused
        else row
        for row in planned.rows
    )
    return attrs.evolve(planned, rows=rows)
