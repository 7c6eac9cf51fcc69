"""Keys and values of a reference, kept over steps: when they are stored, when they are read."""

from __future__ import annotations

import math
import re
import weakref
from typing import TYPE_CHECKING

import attrs
import torch

from refhooks import AttentionEdit, Drift, KeyValues

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from refhooks import BoundReference, Branch, Context, Layout, PlannedStage, RunInfo

_EVERY = re.compile(r"every ([1-9]\d{0,3})")


def interval(reuse: str) -> float:
    """Return after how many steps keys and values are stored anew; 0: nothing is reused.

    Raises:
        ValueError: ``reuse`` is not ``never``, ``once`` or ``every N``.
    """
    if reuse in ("never", "once"):
        return 0.0 if reuse == "never" else math.inf
    found = _EVERY.fullmatch(reuse) if isinstance(reuse, str) else None
    if found is None:
        raise ValueError(
            "reuse must be 'never', 'once' or 'every N' with a whole number of steps from 1 to"
            f" 9999, such as 'every 4'; got {reuse!r}"
        )
    return float(found[1])


class Refreshes:
    """Which steps of a stage store keys and values anew.

    The first at which the reference acts; the first one that is at least ``every`` steps of the run
    after the last; and every one at which the reference's masks hold differently, since then other
    tokens are used.

    Args:
        every: Steps between two of them.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._due = -math.inf
        self._masks: tuple[float, ...] | None = None
        self.last = -1

    def at(self, step: int, masks: tuple[float, ...]) -> bool:
        """Return whether an acting step is one; ask once a step, in order."""
        if step < self._due and masks == self._masks:
            return False
        self.last, self._due, self._masks = step, step + self._every, masks
        return True

    def shorten(self, factor: float) -> None:
        """Shorten the interval that has just begun to a part of itself, at least one step."""
        self._due = self.last + max(1, math.floor(self._every * factor))


def reused(planned: PlannedStage, every: float) -> tuple[int, ...]:
    """Return the steps that read what an earlier one stored."""
    refreshes = Refreshes(every)
    return tuple(
        step for step in planned.acting if not refreshes.at(step, planned.rows[step].masks)
    )


@attrs.define(eq=False)
class _Kept:
    """The buffers of a branch.

    Attributes:
        buffers: Its keys and values.
        stored: The step that stored them, −1 before the first.
        drift: How far that moved them, ``[blocks,B,2]``; filled once the step has run.
    """

    buffers: KeyValues
    stored: int = -1
    drift: Tensor | None = None


class Reuse:
    """What one reference keeps in one stage of a run.

    Args:
        every: Steps between two refreshes.
        limit: Drift above which the next interval is shortened; ``None``: never.
        measure: Whether drift is measured.
        reference: Of the run.
        run: The run.
    """

    def __init__(
        self,
        every: float,
        limit: float | None,
        *,
        measure: bool,
        reference: BoundReference,
        run: RunInfo,
    ) -> None:
        self._refreshes = Refreshes(every)
        self._limit = limit
        self._measure = measure and math.isfinite(every)
        self._slot = reference.index
        self._report: Callable[[Drift], None] = run.report
        self._last = max(step for step, held in enumerate(reference.strengths) if held > 0)
        self._shape = (run.blocks, run.noise.shape[0], run.heads, run.head_size)
        self._dtype, self._device = run.noise.dtype, run.noise.device
        self._kept: dict[str, _Kept] = {}
        self._made: list[weakref.ref[Tensor]] = []
        self._step = -1
        self._refreshing = False

    def loads(self, ctx: Context, branch: Branch) -> bool:
        """Return whether a branch reads stored keys and values at a step, and needs no tokens."""
        self._begin(ctx)
        kept = self._kept.get(branch.name)
        return not self._refreshing and kept is not None and kept.stored >= self._refreshes.last

    def edit(
        self, ctx: Context, branch: Branch, layout: Layout, edit: AttentionEdit | None
    ) -> AttentionEdit | None:
        """Return an edit with what is stored or loaded beside it."""
        made = AttentionEdit(self._slot) if edit is None else edit
        if self.loads(ctx, branch):
            kept = self._kept[branch.name]
            if ctx.step.index == self._last:  # the pass itself holds them as long as it needs them
                del self._kept[branch.name]
            return attrs.evolve(made, load=kept.buffers)
        own = layout.slots[self._slot]
        ending = ctx.step.index == self._last
        if own is None or (ending and not (self._measure and branch.name in self._kept)):
            self._kept.pop(branch.name, None)
            return edit
        store = self._store(ctx.step.index, branch.name, own.stop - own.start)
        if ending:
            del self._kept[branch.name]
        return attrs.evolve(made, store=store)

    def close(self) -> None:
        """Give the memory back, also where an exception's traceback still holds the tensors."""
        self._kept.clear()
        for tensor in (made() for made in self._made):
            if tensor is not None:
                tensor.untyped_storage().resize_(0)

    def _begin(self, ctx: Context) -> None:
        """Decide for a step, when its first branch asks."""
        if ctx.step.index == self._step:
            return
        self._step = ctx.step.index
        if self._limit is not None and self._refreshing:
            self._shorten(self._limit)
        self._refreshing = self._refreshes.at(self._step, ctx.rows[self._slot].masks)

    def _shorten(self, limit: float) -> None:
        """The branch and picture that moved most decide; drift is taken to grow with the steps."""
        found = [
            kept.drift.mean(dim=(0, 2)).max()
            for kept in self._kept.values()
            if kept.drift is not None
        ]
        if found and (worst := float(torch.stack(found).max())) > limit:
            self._refreshes.shorten(limit / worst)

    def _store(self, step: int, branch: str, tokens: int) -> KeyValues:
        kept = self._kept.get(branch)
        if kept is not None and kept.buffers.keys.shape[2] != tokens:
            del self._kept[branch]
            kept = None
        if kept is None:
            kept = self._kept[branch] = _Kept(self._buffers(tokens))
        blocks, batch, *_ = self._shape
        drift = torch.zeros(blocks, batch, 2, device=self._device) if self._measure else None
        kept.drift = None if kept.stored < 0 else drift
        if kept.drift is not None:
            self._report(Drift(self._slot, branch, step, kept.stored, kept.drift))
        kept.stored = step
        return attrs.evolve(kept.buffers, drift=drift)

    def _buffers(self, tokens: int) -> KeyValues:
        blocks, batch, heads, size = self._shape
        keys, values = (
            torch.zeros(
                (blocks, batch, tokens, heads, size), dtype=self._dtype, device=self._device
            )
            for _ in range(2)
        )
        self._made += [weakref.ref(keys), weakref.ref(values)]
        return KeyValues(keys, values)
