"""How far reused keys and values have moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from torch import Tensor


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
