"""What of a pass is computed: taken out before the family sees it, and made whole after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import torch

from refhooks._core.contract.values import BASE
from refhooks.errors import HookReturnError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from refhooks._core.contract.source import Source
    from refhooks._core.contract.values import Context, GroupEdit, Inputs, Layout, Tokens

_MADE = 32  # sets of indices that are kept


def is_partial(inputs: Inputs) -> bool:
    """Return whether some token of the inputs is not computed."""
    slots = [tokens for tokens in inputs.slots if tokens is not None]
    return inputs.keep is not None or any(tokens.fresh is not None for tokens in slots)


class Computed:
    """Takes the computed tokens out of the passes of a run.

    Indices are made once for those that they are made of, which are known by identity: families
    know them again in the same way.

    Args:
        source: The picture being edited, which the tokens of the target that are left out follow.
    """

    def __init__(self, source: Source | None) -> None:
        self._source = source
        self._made: dict[tuple[object, ...], tuple[list[Tensor | None], Any]] = {}

    def part(
        self, inputs: Inputs, edits: Sequence[GroupEdit], layout: Layout
    ) -> tuple[Inputs, tuple[GroupEdit, ...]]:
        """Return inputs and edits of the computed tokens alone.

        Args:
            inputs: With all ``T`` tokens of the target.
            edits: One a group, each with a weight for all ``L`` queries.
            layout: Of all tokens.

        Raises:
            HookReturnError: The keys and values of a reference's other tokens come from nowhere.
        """
        loaded = {edit.group for edit in edits if edit.load is not None}
        for slot, tokens in enumerate(inputs.slots):
            if tokens is not None and tokens.fresh is not None and slot not in loaded:
                raise HookReturnError(
                    f"slot {slot}.fresh leaves tokens out, but no edit of attention loads keys and"
                    " values for them; give an AttentionEdit with load, or leave fresh out"
                )
        queries = self._queries(inputs, layout)
        keep = inputs.keep
        part = attrs.evolve(
            inputs,
            target=inputs.target if keep is None else inputs.target[:, keep],
            added=inputs.added if keep is None or inputs.added is None else inputs.added[:, keep],
            slots=tuple([self._slot(tokens) for tokens in inputs.slots]),
        )
        return part, tuple([_asked(edit, queries, inputs) for edit in edits])

    def whole(self, ctx: Context, latents: Tensor, inputs: Inputs, velocity: Tensor) -> Tensor:
        """Return the velocity of all tokens ``[B,T,C]``, of that of those that were computed.

        The others go straight to the source: ``v = (x_t − r) / sigma``.

        Args:
            ctx: Of the step.
            latents: ``x_t``, ``[B,T,C]``.
            inputs: Of the pass.
            velocity: ``[B,K,C]``.
        """
        if inputs.keep is None:
            return velocity
        assert self._source is not None  # noqa: S101  the check of the inputs refuses that
        to_source = (latents - self._source.latents) / ctx.step.sigma
        return to_source.to(velocity.dtype).index_copy(1, inputs.keep, velocity)

    def _slot(self, tokens: Tokens | None) -> Tokens | None:
        """The computed tokens of a reference; none of them is an empty slot."""
        if tokens is None or tokens.fresh is None:
            return tokens
        keep, fresh = tokens.keep, tokens.fresh
        if not len(fresh):
            return None
        kept = fresh if keep is None else self._once([keep, fresh], lambda: keep[fresh])
        return attrs.evolve(tokens, keep=kept, fresh=None)

    def _queries(self, inputs: Inputs, layout: Layout) -> Tensor:
        """Which of the ``L`` queries are asked, in logical order."""
        fresh = [None if tokens is None else tokens.fresh for tokens in inputs.slots]

        def made() -> Tensor:
            parts = [(layout.text, None), (layout.target, inputs.keep)]
            parts += [
                (own, fresh[slot]) for slot, own in enumerate(layout.slots) if own is not None
            ]
            place = inputs.target.device
            return torch.cat(
                [
                    torch.arange(own.start, own.stop, device=place)
                    if some is None
                    else own.start + some
                    for own, some in parts
                ]
            )

        queries: Tensor = self._once([inputs.keep, *fresh], made, layout)
        return queries

    def _once(
        self, of: Sequence[Tensor | None], make: Callable[[], Tensor], more: object = None
    ) -> Tensor:
        key = (*map(id, of), str(more))
        if key not in self._made:
            if len(self._made) >= _MADE:
                self._made.clear()
            self._made[key] = ([*of], make())  # what a key names is kept alive
        made: Tensor = self._made[key][1]
        return made


def _asked(edit: GroupEdit, queries: Tensor, inputs: Inputs) -> GroupEdit:
    """An edit for the queries that are there, and the rows of what it loads that are fresh."""
    tokens = None if edit.group == BASE else inputs.slots[int(edit.group)]
    rows = None if tokens is None or edit.load is None else tokens.fresh
    rows = rows if rows is not None and len(rows) else None
    weight = None if edit.weight is None else edit.weight[:, queries]
    prefix = None if edit.prefix is None else _asked(edit.prefix, queries, inputs)
    return attrs.evolve(edit, weight=weight, rows=rows, prefix=prefix)
