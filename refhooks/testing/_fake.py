"""Steps of no run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from refhooks._core.contract.values import Context, Row, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCKS = 2


def contexts(total: int, strengths: Sequence[float]) -> tuple[Context, ...]:
    """Return one context a step; timesteps are ``1000·sigma``, as those of the stock models."""
    steps = [Step(index, total, 1.0 - index / total) for index in range(total)]
    rows = tuple(
        Row(reference=reference, stage=0, method="fake", strength=strength)
        for reference, strength in enumerate(strengths)
    )
    return tuple(
        Context(
            step=step,
            t=torch.tensor(1000.0 * step.sigma),
            family="fake",
            blocks=BLOCKS,
            rows=rows,
        )
        for step in steps
    )
