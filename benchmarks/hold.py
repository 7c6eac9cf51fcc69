"""Hold: a strength per step by which as much is kept of every picture, beside fixed strengths.

    python benchmarks/hold.py            measures; goes on where it was stopped
    python benchmarks/hold.py --table    prints what is there

How far the predicted picture is from the source is measured at each step, and sets the next step's
strength of `cross_attn` by `refhooks_strengths`. The median over the tokens is taken: most of a
local edit should stay as it is. ``RULE``, which was there before the first run, says when it ships.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import click
import numpy as np
import torch
from _fresh import pairs_of, run

import refhooks as rh
from refhooks.score import Cell, interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor

    from refhooks.score import Scorecard

    Array = npt.NDArray[np.float64]

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "hold.json"
STORE = ROOT / "build" / "hold.store"
FROM, EACH, STEPS = 540_000, 34, 8
FIXED = (0.1, 0.2, 0.35)
AWAYS = (0.3, 0.45)
KEPT, DONE = "kept_ciede2000", "done_ciede2000"
RULE = (
    f"Over {6 * EACH} edits, beside the fixed strength that keeps as much on average (between two"
    " that were run, by scene): the standard deviation of kept over the scenes is at most half of"
    " that at the fixed strength, and done is not lower: its interval does not lie below 0."
)


@attrs.frozen
class Hold:
    """Sets the strength of every reference so that the picture stays ``away`` from the source.

    Attributes:
        away: RMS distance of normalised latents that the median token should have.
        gain: By how much the logarithm of the strength answers a distance that is twice too large.
    """

    name: ClassVar[str] = "hold"
    away: float = 0.3
    gain: float = 0.7

    def bind_run(self, run: rh.RunInfo) -> Holding:
        """Return what measures and sets."""
        if run.source is None:
            raise rh.InputError("hold compares with the source, and this edit has none")
        return Holding(self, run.source.latents)


class Holding:
    """See :class:`Hold`."""

    def __init__(self, hold: Hold, source: Tensor) -> None:
        self._hold = hold
        self._source = source  # [1,T,C]

    @rh.hookimpl
    def refhooks_strengths(
        self, ctx: rh.Context, latents: Tensor, velocity: Tensor, strengths: Sequence[float]
    ) -> list[float]:
        """Raise the next strengths where the picture is too far away, and lower them where not."""
        away = (latents - ctx.step.sigma * velocity - self._source).float()  # [B,T,C]
        median = float(away.square().mean(dim=-1).sqrt().median())
        factor = math.exp(self._hold.gain * math.log2(max(median, 1e-3) / self._hold.away))
        now = [row.strength for row in ctx.rows]  # as it was set, where the plan begins anew
        return [
            min(2.0, max(0.02, old * factor)) if planned > 0.0 else planned
            for old, planned in zip(now, strengths, strict=True)
        ]


def cells() -> tuple[list[Cell], list[Cell]]:
    """Return the fixed strengths, which run in batches, and hold, which sets each edit's own."""
    fixed = [Cell(f"fixed {it:g}", rh.Stage("cross_attn", it), steps=STEPS) for it in FIXED]
    held = [
        Cell(f"hold {it:g}", rh.Stage("cross_attn", 0.2), steps=STEPS, plugins=(Hold(it),))
        for it in AWAYS
    ]
    return fixed, held


def figures_of(card: Scorecard) -> dict[str, Any]:
    """Return how hold compares with the fixed strength that keeps as much."""
    alone = {
        f"fixed {it:g}": _of(card.values(f"fixed {it:g}", KEPT), card.values(f"fixed {it:g}", DONE))
        for it in FIXED
    }
    held = {}
    for away in AWAYS:
        name = f"hold {away:g}"
        kept, done = card.values(name, KEPT), card.values(name, DONE)
        like = {it: _between(card, float(kept.mean()), it) for it in (KEPT, DONE)}
        lead = interval(done - like[DONE])
        spread = [float(it.std()) for it in (kept, like[KEPT])]
        held[name] = {
            **_of(kept, done),
            "fixed": _of(like[KEPT], like[DONE]),
            "done": [round(float(it), 4) for it in (lead.mean, lead.low, lead.high)],
            "ships": spread[0] <= spread[1] / 2 and lead.high >= 0.0,
        }
    return {
        "command": "python benchmarks/hold.py",
        "rule": RULE,
        "scenes": {"from": FROM, "count": len(card.scenes)},
        "steps": STEPS,
        "fixed": alone,
        "hold": held,
    }


def _of(kept: Array, done: Array) -> dict[str, float]:
    values = {"kept": kept.mean(), "spread": kept.std(), "edit_done": done.mean()}
    return {name: round(float(it), 4) for name, it in values.items()}


def _between(card: Scorecard, kept: float, measure: str) -> Array:
    """Return a measure at the fixed strength that keeps so much: a mix of its two neighbours."""
    means = [float(card.values(f"fixed {it:g}", KEPT).mean()) for it in FIXED]
    place = max(0, min(len(FIXED) - 2, int(np.searchsorted(means, kept)) - 1))
    share = (kept - means[place]) / (means[place + 1] - means[place])
    share = min(1.0, max(0.0, share))
    low, high = (card.values(f"fixed {it:g}", measure) for it in FIXED[place : place + 2])
    return np.asarray((1.0 - share) * low + share * high)


@click.command()
@click.option("--table", "only", is_flag=True, help="Measure nothing.")
def main(*, only: bool) -> None:
    """Measure, and write the figures."""
    torch.set_num_threads(1)
    if not only:
        pairs, (fixed, held) = pairs_of(FROM, EACH), cells()
        card = run(pairs, fixed, STORE).merged(run(pairs, held, STORE, batch=1))
        FIGURES.write_text(json.dumps(figures_of(card), indent=1) + "\n", encoding="utf-8")
    click.echo(FIGURES.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
