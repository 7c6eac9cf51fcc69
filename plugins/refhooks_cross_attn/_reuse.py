"""Keys and values of a reference, kept over steps."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING

import attrs
import torch

from refhooks import AttentionEdit, Drift, KeyValues
from refhooks_cross_attn._refresh import Refreshes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from refhooks import BoundReference, Branch, Context, Layout, RunInfo


@attrs.define(eq=False)
class _Kept:
    """The buffers of a branch.

    Attributes:
        buffers: Its keys and values.
        masks: How much of each mask of the reference held at the step that stored them.
        stored: The step that stored them, −1 before the first.
        since: The one before.
        drift: How far that moved them, ``[blocks,B,2]``; filled once the step has run.
    """

    buffers: KeyValues
    masks: tuple[float, ...]
    stored: int = -1
    since: int = -1
    drift: Tensor | None = None


class Reuse:
    """What one reference keeps in one stage of a run.

    Args:
        every: Steps between two refreshes.
        limit: Drift that the next interval is to keep to, at the last one's rate a step; ``None``:
            every interval is as long as asked for.
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
        self._last = max(step for step, strength in enumerate(reference.strengths) if strength > 0)
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
        base = AttentionEdit(self._slot) if edit is None else edit
        kept = self._kept.get(branch.name)
        if self.loads(ctx, branch) and kept is not None:
            if ctx.step.index == self._last:  # the pass itself holds them as long as it needs them
                del self._kept[branch.name]
            return attrs.evolve(base, load=kept.buffers)
        own, masks = layout.slots[self._slot], ctx.rows[self._slot].masks
        ending = ctx.step.index == self._last
        measured = self._measure and kept is not None and kept.masks == masks
        if own is None or (ending and not measured):
            self._kept.pop(branch.name, None)
            return edit
        store = self._store(ctx.step.index, branch.name, own.stop - own.start, masks)
        if ending:
            del self._kept[branch.name]
        return attrs.evolve(base, store=store)

    def close(self) -> None:
        """Give the memory back, also where an exception's traceback still holds the tensors."""
        self._kept.clear()
        for tensor in (reference() for reference in self._made):
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
        rates = [
            kept.drift.mean(dim=(0, 2)).max() / (kept.stored - kept.since)
            for kept in self._kept.values()
            if kept.drift is not None
        ]
        if not rates:
            return
        worst = float(torch.stack(rates).max())
        if worst > 0.0:
            self._refreshes.shorten(limit / worst)

    def _store(self, step: int, branch: str, tokens: int, masks: tuple[float, ...]) -> KeyValues:
        kept = self._kept.get(branch)
        if kept is not None and kept.buffers.keys.shape[2] != tokens:
            del self._kept[branch]
            kept = None
        elif kept is not None and kept.masks != masks:
            kept.masks, kept.stored = masks, -1  # of other tokens: how far they are is no drift
        if kept is None:
            kept = self._kept[branch] = _Kept(self._buffers(tokens), masks)
        blocks, batch, *_ = self._shape
        drift = torch.zeros(blocks, batch, 2, device=self._device) if self._measure else None
        kept.drift = None if kept.stored < 0 else drift
        if kept.drift is not None:
            self._report(Drift(self._slot, branch, step, kept.stored, kept.drift))
        kept.since, kept.stored = kept.stored, step
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
