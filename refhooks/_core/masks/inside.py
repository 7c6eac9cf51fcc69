"""``edit(compute="inside")``: what takes part in a run so that a local edit costs its area."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import torch

from refhooks._core.contract.values import AttentionEdit, KeyValues
from refhooks.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks._core.contract.methods import RunInfo
    from refhooks._core.contract.values import Branch, Context, Inputs, Layout, Row, Tokens


class ComputedInside:
    """Has the target's tokens computed that may change.

    Args:
        keep: Which, ``[K]``; ``None``: all.
        run: The run.
    """

    def __init__(self, keep: Tensor | None, run: RunInfo) -> None:
        self._keep = None if keep is None else keep.to(run.noise.device)

    @hookimpl(trylast=True)
    def refhooks_conditioning(self, inputs: Inputs) -> Inputs:
        """Leave out what is outside, also where a plugin has left out more."""
        return attrs.evolve(inputs, keep=self._keep)


@attrs.define(eq=False)
class _Kept:
    """Keys and values of a reference in a branch, and of what they are.

    Attributes:
        buffers: Of its passed-on tokens.
        tokens: Those.
        row: What the reference did at the step that stored them.
        step: That one.
    """

    buffers: KeyValues
    tokens: Tokens
    row: Row
    step: int

    def serves(self, tokens: Tokens, row: Row) -> bool:
        """Whether they are those of such tokens, as near as a method says it."""
        before = self.tokens
        same = tokens.latents is before.latents or row == self.row
        as_before = tokens.positions == before.positions and tokens.modulate == before.modulate
        return same and as_before and _alike(tokens.keep, before.keep)


class ReusedOutside:
    """The same, with references read from keys and values of an earlier step, far from the mask.

    Args:
        keep: As for :class:`ComputedInside`.
        near: Tokens of each reference that are computed at every step, ``[F]``, maybe none.
        every: Steps from one computation of all of them to the next.
        run: The run.
    """

    def __init__(
        self, keep: Tensor | None, near: Sequence[Tensor], every: int, run: RunInfo
    ) -> None:
        device = run.noise.device
        self._keep = None if keep is None else keep.to(device)
        self._every = every
        self._near = [indices.to(device) for indices in near]
        self._shape = (run.blocks, run.noise.shape[0], run.heads, run.head_size)
        self._noise = run.noise
        self._kept: dict[tuple[str, int], _Kept] = {}
        self._fresh: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    @hookimpl(trylast=True)
    def refhooks_conditioning(self, ctx: Context, branch: Branch, inputs: Inputs) -> Inputs:
        """Leave out of each reference what is read from an earlier step."""
        for slot, tokens in enumerate(inputs.slots):
            if tokens is None or tokens.fresh is not None:
                continue
            kept = self._kept.get((branch.name, slot))
            index, row = ctx.step.index, ctx.rows[slot]
            if kept is None or index - kept.step >= self._every or not kept.serves(tokens, row):
                self._begin(ctx, branch, slot, tokens)
            else:
                fresh = self._fresh_of(slot, tokens)
                inputs = inputs.fill(slot, attrs.evolve(tokens, fresh=fresh))
        return attrs.evolve(inputs, keep=self._keep)

    @hookimpl(trylast=True)
    def refhooks_attention(
        self, ctx: Context, branch: Branch, layout: Layout
    ) -> list[AttentionEdit]:
        """Store keys and values at the steps that compute all of them, and load them at others."""
        edits = []
        for slot, own in enumerate(layout.slots):
            kept = self._kept.get((branch.name, slot))
            if own is None or kept is None:
                continue
            if kept.step == ctx.step.index:
                edits.append(AttentionEdit(slot, store=kept.buffers))
            else:
                edits.append(AttentionEdit(slot, load=kept.buffers))
        return edits

    def _begin(self, ctx: Context, branch: Branch, slot: int, tokens: Tokens) -> None:
        """Have a step store, if a later one will read it."""
        place, index = (branch.name, slot), ctx.step.index
        kept = self._kept.pop(place, None)
        if index + 1 == ctx.step.total:
            return
        count = int(tokens.latents.shape[1] if tokens.keep is None else tokens.keep.shape[0])
        if kept is None or kept.buffers.keys.shape[2] != count:
            buffers = self._buffers(count)
        else:
            buffers = kept.buffers
        self._kept[place] = _Kept(buffers, tokens, ctx.rows[slot], index)

    def _buffers(self, count: int) -> KeyValues:
        blocks, batch, heads, size = self._shape
        shape = (blocks, batch, count, heads, size)
        return KeyValues(self._noise.new_empty(shape), self._noise.new_empty(shape))

    def _fresh_of(self, slot: int, tokens: Tokens) -> Tensor:
        """Which of the passed-on tokens lie near the mask; made once for each choice of them."""
        near, keep = self._near[slot], tokens.keep
        if keep is None:
            return near
        key = (slot, id(keep))
        if key not in self._fresh:
            self._fresh[key] = keep, torch.isin(keep, near).nonzero()[:, 0]
        return self._fresh[key][1]


def _alike(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or torch.equal(one, other)
