"""A bound run: what the loop is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks._core.contract.values import Context
from refhooks._core.running.computed import Computed, is_partial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from refhooks._core.contract.drift import Drift
    from refhooks._core.contract.family import FamilyRun
    from refhooks._core.contract.source import Source
    from refhooks._core.contract.values import Branch, GroupEdit, Inputs
    from refhooks._core.models.family_calls import Moment
    from refhooks._core.planning.request import Callback
    from refhooks._core.planning.timetable import Timetable
    from refhooks._core.running.hooks import Hooks


@attrs.define(eq=False)
class Run:
    """A bound run: what the loop needs, and nothing that outlives it.

    Attributes:
        family: The family's state of this run.
        start: The latents before the first step, ``[B,T,C]``.
        hooks: The chains of the bound plugins.
        drifts: What was measured so far of reused keys and values.
        scheduler: A private copy.
        timetable: The plan, with the strengths that hooks set while it runs.
        timesteps: The scheduler's timesteps ``[N]``, on the device of the run.
        name: Name of the family.
        blocks: Number of transformer blocks.
        ran: How many steps began.
        source: The picture being edited; ``None`` where there is none.
    """

    family: FamilyRun
    start: Tensor
    hooks: Hooks
    drifts: list[Drift]
    scheduler: Any
    timetable: Timetable
    timesteps: Tensor
    name: str
    blocks: int
    source: Source | None
    _moment: Moment
    _decode: Callable[[Tensor], Tensor]
    _bar: Any
    _callback: Callback | None
    _interrupted: Callable[[], bool]
    _scales: Sequence[float] = ()
    ran: int = attrs.field(default=0, init=False)
    _computed: Computed = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """What takes the computed tokens out of a pass lasts as long as the run."""
        self._computed = Computed(self.source)

    def contexts(self) -> Iterator[Context]:
        """Yield the context of each step of the timetable, until the user interrupts the run."""
        after = [*self.timesteps[1:], None]
        for index, (t, t_next) in enumerate(zip(self.timesteps, after, strict=True)):
            planned = self.timetable.steps[index]  # the hooks of the step before may have set it
            ctx = Context(planned.step, t, self.name, self.blocks, planned.rows, t_next)
            self._moment.ctx = ctx
            self.ran += 1
            if self._scales:
                self.family.use_scale(self._scales[planned.step.index])
            yield ctx
            if self._interrupted():
                break
        self._moment.ctx = None

    def predict(
        self,
        ctx: Context,
        branch: Branch,
        latents: Tensor,
        inputs: Inputs,
        edits: Sequence[GroupEdit],
    ) -> Tensor:
        """Return the velocity ``[B,T,C]`` of a branch; of what is not computed, the source's.

        Args:
            ctx: Of the step.
            branch: Of the pass.
            latents: ``x_t``.
            inputs: Of the pass, with all tokens.
            edits: Likewise.
        """
        if not is_partial(inputs):
            return self.family.predict(ctx, branch, inputs, edits)
        part, asked = self._computed.part(inputs, edits, self.family.layout(inputs))
        velocity = self.family.predict(ctx, branch, part, asked)
        return self._computed.whole(ctx, latents, inputs, velocity)

    def steer(self, ctx: Context, latents: Tensor, velocity: Tensor) -> None:
        """Let the hooks set the strengths of the next step."""
        steps, after = self.timetable.steps, ctx.step.index + 1
        if after < len(steps):
            rows = self.hooks.strengths(ctx, latents, velocity, steps[after].rows)
            if rows == steps[after].rows:
                return
            steered = attrs.evolve(steps[after], rows=rows)
            steps = (*steps[:after], steered, *steps[after + 1 :])
            self.timetable = attrs.evolve(self.timetable, steps=steps)

    def report(self, ctx: Context, latents: Tensor, velocity: Tensor) -> None:
        """Tell the user of a step: its number, ``x_t`` and the predicted ``x0``."""
        if self._callback is not None:
            x0 = latents - ctx.step.sigma * velocity
            self._callback(ctx.step.index, latents, x0)
        self._bar.update()

    def decode(self, latents: Tensor) -> Tensor:
        """Return the pictures ``[B,3 or 4,height,width]``, 0–1, of final latents.

        Raises:
            NotFiniteError: They, or the pictures, hold NaN or infinity.
        """
        self.hooks.check_weights()
        return self._decode(latents)
