"""Presets that a search chose, confirmed once on scenes and noise that nothing was chosen on.

    python benchmarks/confirm.py            measures; goes on where it was stopped
    python benchmarks/confirm.py --table    prints what is there

Each preset that says it is measured is compared with `default` at 1, scene by scene, at 8 and 16
steps, by RMSE, CIEDE2000 and SSIM. ``RULE``, which was there before the first run, says which are
confirmed. There is one confirmation: what fails it is not tried again on other scenes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch
from _fresh import DONE, KEPT, difference, pairs_of, run

import refhooks as rh
from refhooks.score import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refhooks.score import Scorecard

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "confirm.json"
STORE = ROOT / "build" / "confirm.store"
FROM, EACH, STEPS = 520_000, 20, (8, 16)
KEPT_LOSS, BEHIND = 0.01, 0.05
PRESETS = {  # with the kind of edit that each is for, and what its page says of it
    "background-swap-tuned": ("background-swap", "ahead"),
    "expression-change-tuned": ("expression-change", "ahead"),
    "object-swap-tuned": ("object-swap", "ahead"),
    "object-replacement": ("object-swap", "beside"),
}
RULE = (
    "A tuned preset says that it does more of the edit than default at 1 and keeps no less. It is"
    " confirmed if, at 8 and at 16 steps, the interval of the difference in done lies above 0 by"
    " RMSE, CIEDE2000 or SSIM and by none of them below 0, and that of kept by none of them below"
    f" -{KEPT_LOSS:g}. object-replacement says that it is at most {BEHIND:g} below default at 1: it"
    " is confirmed if no interval of done or kept reaches below that. Intervals of 95 %, paired by"
    " scene."
)


def cells() -> list[Cell]:
    """Return the model's own way and the presets, at each number of steps."""
    kinds = tuple(dict.fromkeys(kind for kind, _ in PRESETS.values()))
    found = []
    for steps in STEPS:
        found.append(Cell(f"default, {steps} steps", "default", steps=steps, kinds=kinds))
        for name, (kind, _) in PRESETS.items():
            held = rh.preset(name)
            found.append(
                Cell(
                    f"{name}, {steps} steps", held.strategy, denoise=held.denoise or 1.0,
                    steps=steps, kinds=(kind,),
                )
            )  # fmt: skip
    return found


def figures_of(card: Scorecard) -> dict[str, Any]:
    """Return each preset's differences and whether they confirm it."""
    found = {}
    for name, (kind, says) in PRESETS.items():
        by_steps = {
            str(steps): {
                it: difference(
                    card, f"{name}, {steps} steps", f"default, {steps} steps", it, (kind,)
                )
                for it in (*DONE, *KEPT)
            }
            for steps in STEPS
        }  # fmt: skip
        found[name] = {"kind": kind, "steps": by_steps, "confirmed": confirmed(says, by_steps)}
    return {
        "command": "python benchmarks/confirm.py",
        "rule": RULE,
        "scenes": {"from": FROM, "each": EACH},
        "presets": found,
    }


def confirmed(says: str, by_steps: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether ``RULE`` is met."""
    if says == "beside":
        return all(it[1] >= -BEHIND for found in by_steps.values() for it in found.values())
    return all(
        any(found[it][1] > 0.0 for it in DONE)
        and all(found[it][2] >= 0.0 for it in DONE)
        and all(found[it][1] >= -KEPT_LOSS for it in KEPT)
        for found in by_steps.values()
    )


@click.command()
@click.option("--table", "only", is_flag=True, help="Measure nothing.")
def main(*, only: bool) -> None:
    """Measure, and write the figures."""
    torch.set_num_threads(1)
    if not only:
        kinds = {kind for kind, _ in PRESETS.values()}
        pairs = [pair for pair in pairs_of(FROM, EACH) if pair.kind in kinds]
        card = run(pairs, cells(), STORE)
        FIGURES.write_text(json.dumps(figures_of(card), indent=1) + "\n", encoding="utf-8")
    for name, found in json.loads(FIGURES.read_text(encoding="utf-8"))["presets"].items():
        for steps, measures in found["steps"].items():
            told = "  ".join(
                f"{it} {value[0]:+.3f} [{value[1]:+.3f}, {value[2]:+.3f}]"
                for it, value in measures.items()
                if value
            )
            click.echo(f"{name}, {steps} steps: {told}")
        click.echo(f"{name}: {'confirmed' if found['confirmed'] else 'not confirmed'}")


if __name__ == "__main__":
    main()
