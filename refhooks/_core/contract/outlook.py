"""What a method foresees of a stage when it is planned, and what it measured when it ran."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from refhooks._core.contract.methods import ModelInfo
    from refhooks._core.contract.values import Row

__all__ = ["Outlook", "PlannedStage"]


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
        steered: Whether strengths above 0 may be set to others while the run goes.
    """

    reference: int
    stage: int
    rows: tuple[Row, ...]
    model: ModelInfo | None = None
    batch: int | None = None
    passes: int | None = None
    steered: bool = False

    @property
    def acting(self) -> tuple[int, ...]:
        """The steps at which the method is called."""
        return tuple(
            step
            for step, row in enumerate(self.rows)
            if row.stage == self.stage and row.strength > 0
        )

    def changes(self, what: Callable[[Row], object], usual: object) -> tuple[int, ...]:
        """Return the steps at which something begins to differ from what it was a step before.

        Args:
            what: What is compared, of a row of the stage.
            usual: What it is before the stage and after it.
        """
        acting = self.acting
        values = [usual, *(what(self.rows[step]) for step in acting), usual]
        steps = (*acting, *(step + 1 for step in acting[-1:]))
        pairs = zip(steps, itertools.pairwise(values), strict=False)
        return tuple(step for step, (one, other) in pairs if one != other)


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
        rescaled: Steps, counted from 0, at which it begins or ends to give other tokens than the
            picture's own, or to have them seen otherwise by text and references: a model that keeps
            these computes them anew there.
        attention: Whether it edits attention in this stage, so that a model whose attention cannot
            be edited refuses it when it is planned; ``None``: the classes that ``bind`` names tell,
            and where they do not, it is refused there as well.
        remarks: Lines that a plan shows below its table; equal ones of several stages are shown
            once.
    """

    reused: tuple[int, ...] = ()
    tokens: tuple[float, ...] | None = None
    added: tuple[tuple[int, float], ...] = ()
    remarks: tuple[str, ...] = ()
    rescaled: tuple[int, ...] = ()
    attention: bool | None = None
