"""When keys and values are stored anew; without torch, for plans that have no model."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refhooks import PlannedStage

_EVERY = re.compile(r"every ([1-9]\d{0,3})")


def interval(reuse: str) -> float:
    """Return after how many steps keys and values are stored anew; 0: nothing is reused.

    Raises:
        ValueError: ``reuse`` is not ``never``, ``once`` or ``every N``.
    """
    if reuse in ("never", "once"):
        return 0.0 if reuse == "never" else math.inf
    match = _EVERY.fullmatch(reuse) if isinstance(reuse, str) else None
    if match is None:
        raise ValueError(
            "reuse must be 'never', 'once' or 'every N' with a whole number of steps from 1 to"
            f" 9999, such as 'every 4'; got {reuse!r}"
        )
    return float(match[1])


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

    def shorten(self, steps: float) -> None:
        """Let the interval that has just begun be no longer than so many steps, at least one."""
        self._due = self.last + max(1, math.floor(min(self._every, steps)))


def reused(planned: PlannedStage, every: float) -> tuple[int, ...]:
    """Return the steps that read what an earlier one stored."""
    refreshes = Refreshes(every)
    return tuple(
        step for step in planned.acting if not refreshes.at(step, planned.rows[step].masks)
    )
