"""Presets that a search chose, confirmed once on scenes and noise that nothing was chosen on.

    python benchmarks/confirm.py            measures; goes on where it was stopped
    python benchmarks/confirm.py --table    prints what is there

The best of the search for each kind, and `object-replacement`, are compared with `default` at 1,
scene by scene, at 8 and 16 steps, by RMSE, CIEDE2000 and SSIM. ``RULE``, which was there before the
first run, says which are confirmed; the figures of the search hold that as well, and
`search.py --publish-only` takes away the presets of those that are not. There is one confirmation:
what fails it is not tried again on other scenes.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click
import torch
from _fresh import DONE, KEPT, difference, pairs_of, run
from search import FIGURES as SEARCHED
from search import SUFFIX, candidates

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
BESIDE = {"object-replacement": "object-swap"}  # a shipped preset, and the kind it is for
RULE = (
    "A tuned preset says that it does more of the edit than default at 1 and keeps no less. It is"
    " confirmed if, at 8 and at 16 steps, the interval of the difference in done lies above 0 by"
    " RMSE, CIEDE2000 or SSIM and by none of them below 0, and that of kept by none of them below"
    f" -{KEPT_LOSS:g}. object-replacement says that it is at most {BEHIND:g} below default at 1: it"
    " is confirmed if no interval of done or kept reaches below that. Intervals of 95 %, paired by"
    " scene."
)


@attrs.frozen
class Tried:
    """What is confirmed: with the kind of edit that it is for, and what its page says of it."""

    kind: str
    says: str
    strategy: rh.Strategy
    denoise: float


def tried(searched: Mapping[str, Any]) -> dict[str, Tried]:
    """Return the best of the search for each kind, and the preset that should be beside default."""
    found = {
        f"{kind}{SUFFIX}": Tried(kind, "ahead", _strategy(it["tables"]), it["denoise"])
        for kind, it in candidates(searched).items()
    }
    for name, kind in BESIDE.items():
        held = rh.preset(name)
        found[name] = Tried(kind, "beside", held.strategy, held.denoise or 1.0)
    return found


def _strategy(tables: Mapping[str, Any]) -> rh.Strategy:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "strategy.json"
        place.write_text(json.dumps(tables), encoding="utf-8")
        return rh.load_strategy(place)


def cells(presets: Mapping[str, Tried]) -> list[Cell]:
    """Return the model's own way and the presets, at each number of steps."""
    kinds = tuple(dict.fromkeys(it.kind for it in presets.values()))
    found = []
    for steps in STEPS:
        found.append(Cell(f"default, {steps} steps", "default", steps=steps, kinds=kinds))
        found += [
            Cell(
                f"{name}, {steps} steps", it.strategy, denoise=it.denoise, steps=steps,
                kinds=(it.kind,),
            )
            for name, it in presets.items()
        ]  # fmt: skip
    return found


def figures_of(card: Scorecard, presets: Mapping[str, Tried]) -> dict[str, Any]:
    """Return each preset's differences and whether they confirm it."""
    found = {}
    for name, preset in presets.items():
        by_steps = {
            str(steps): {
                it: difference(
                    card, f"{name}, {steps} steps", f"default, {steps} steps", it, (preset.kind,)
                )
                for it in (*DONE, *KEPT)
            }
            for steps in STEPS
        }  # fmt: skip
        holds = confirmed(preset.says, by_steps)
        found[name] = {"kind": preset.kind, "steps": by_steps, "confirmed": holds}
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
        searched = json.loads(SEARCHED.read_text(encoding="utf-8"))
        presets = tried(searched)
        kinds = {it.kind for it in presets.values()}
        pairs = [pair for pair in pairs_of(FROM, EACH) if pair.kind in kinds]
        found = figures_of(run(pairs, cells(presets), STORE), presets)
        FIGURES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        for kind, it in candidates(searched).items():
            it["confirmed"] = found["presets"][f"{kind}{SUFFIX}"]["confirmed"]
        SEARCHED.write_text(json.dumps(searched, indent=1) + "\n", encoding="utf-8")
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
