"""How evenly strength acts: the distance to the source over strengths from 0 to 2.

    python benchmarks/dial.py            measures; goes on where it was stopped
    python benchmarks/dial.py --table    prints what is there

The distance is the mean CIEDE2000 difference of result and source over the whole picture. It should
fall as strength rises: Spearman's rank correlation of strength and closeness, from 0 to 1.3, is at
least .95, of the mean over the scenes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch
from _fresh import pairs_of, run

import refhooks as rh
from refhooks.score import Cell, interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from refhooks.score import Scorecard, Shot

    Array = npt.NDArray[np.float64]

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "dial.json"
STORE = ROOT / "build" / "dial.store"
FROM, EACH, STEPS = 530_000, 2, 8  # two scenes of each of six kinds
STRENGTHS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.15, 1.3, 1.6, 2.0)
HIGH, LEAST = 1.3, 0.95
FORMS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "default": ("default", {}),
    "cross_attn": ("cross_attn", {}),
    "cross_attn even": ("cross_attn", {"gain": "even"}),
    "concat": ("concat", {}),
    "inject add": ("inject", {"formula": "add"}),
    "inject gate": ("inject", {"formula": "gate"}),
}


def distance(shot: Shot) -> float:
    """Return the mean CIEDE2000 difference of result and source over the whole picture."""
    from refhooks.score._perceived import colour_difference  # noqa: PLC0415

    return float(colour_difference(shot.out[None], shot.source[None]).mean())


def cells() -> list[Cell]:
    """Return a cell for each form and strength."""
    return [
        Cell(
            f"{name} {strength:g}", rh.Stage(rh.method(method, **options), strength), steps=STEPS
        )
        for name, (method, options) in FORMS.items()
        for strength in STRENGTHS
    ]  # fmt: skip


def figures_of(card: Scorecard) -> dict[str, Any]:
    """Return the curve of each form, its correlation, and where its dial ends."""
    forms = {}
    for name in FORMS:
        rows = np.array([card.values(f"{name} {it:g}", "distance") for it in STRENGTHS])  # [S,N]
        means = rows.mean(axis=1)
        upto = [place for place, strength in enumerate(STRENGTHS) if strength <= HIGH]
        own = [rank(rows[upto, scene]) for scene in range(rows.shape[1])]
        forms[name] = {
            "distance": [round(float(it), 3) for it in means],
            "rank": round(rank(means[upto]), 3),
            "scenes": [round(it, 3) for it in (float(np.mean(own)), min(own), max(own))],
            "below_fifth": round(float((means[0] - means[2]) / (means[0] - means[upto].min())), 3),
            "beyond": {
                f"{low:g} to {high:g}": _change(rows, low, high)
                for low, high in ((1.0, 1.3), (1.3, 2.0), (1.0, 2.0))
            },
        }
    return {
        "command": "python benchmarks/dial.py",
        "scenes": {"from": FROM, "count": len(card.scenes)},
        "steps": STEPS,
        "strengths": STRENGTHS,
        "forms": forms,
    }


def rank(values: Array) -> float:
    """Return Spearman's rank correlation of strength with closeness; equal values share a rank."""
    closeness = -np.round(values, 3)
    ranks = np.array(
        [(closeness < it).sum() + ((closeness == it).sum() - 1) / 2 for it in closeness]
    )
    return 0.0 if len(set(ranks)) == 1 else float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])


def _change(rows: Array, low: float, high: float) -> list[float]:
    it = interval(rows[STRENGTHS.index(high)] - rows[STRENGTHS.index(low)])
    return [round(float(value), 3) for value in (it.mean, it.low, it.high)]


@click.command()
@click.option("--table", "only", is_flag=True, help="Measure nothing.")
def main(*, only: bool) -> None:
    """Measure, and write the figures."""
    torch.set_num_threads(1)
    if not only:
        card = run(pairs_of(FROM, EACH), cells(), STORE, measures={"distance": distance})
        FIGURES.write_text(json.dumps(figures_of(card), indent=1) + "\n", encoding="utf-8")
    for name, form in json.loads(FIGURES.read_text(encoding="utf-8"))["forms"].items():
        click.echo(f"{name}: {json.dumps(form)}")


if __name__ == "__main__":
    main()
