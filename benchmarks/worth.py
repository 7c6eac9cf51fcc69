"""What each form of a method is worth at strength 1, on edits that nothing was chosen on.

    python benchmarks/worth.py            measures; goes on where it was stopped
    python benchmarks/worth.py --gate     measures the gate alone, --others all but the gate
    python benchmarks/worth.py --table    prints what is there

Every form edits the same fresh scenes as the model's own way at 1, from the same noise, and is
compared with it scene by scene, by RMSE, CIEDE2000 and SSIM. ``RULE`` says when the gate becomes
what ``inject`` does when no form is named; it was there before the first run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch
from _fresh import DONE, KEPT, LOCAL, WHOLE, difference, pairs_of, run

import refhooks as rh
from refhooks.score import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refhooks.score import Scorecard

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "worth.json"
STORE = ROOT / "build" / "worth.store"
FROM, EACH_LOCAL, EACH_WHOLE = 500_000, 34, 25
STEPS = (8, 16, 4, 28)  # in the order in which they are measured
OTHERS_STEPS = (8,)
LOCAL_ONLY = (28,)  # edits of the whole picture are left out, for the time they take
LOSS = 0.005
RULE = (
    "The gate becomes inject's default if, at each of 4, 8, 16 and 28 steps, over the edits with an"
    " outside, the interval of the difference in kept lies above 0 by SSIM and by CIEDE2000, and"
    f" that of done does not reach below -{LOSS:g} by CIEDE2000 and by RMSE; and no other measure"
    " contradicts it: no interval lies wholly on the wrong side of these bounds, over the edits of"
    " the whole picture, at 4, 8 and 16 steps, neither."
)
BASE, GATE = "default", "inject gate"
FORMS: Mapping[str, tuple[str, dict[str, Any]]] = {
    GATE: ("inject", {"formula": "gate"}),
    "concat": ("concat", {}),
    "guidance towards": ("guidance", {}),
    "cross_attn even": ("cross_attn", {"gain": "even"}),
    "inject add, input": ("inject", {"formula": "add", "where": "input"}),
    "inject add, latents": ("inject", {"formula": "add", "where": "latents"}),
    "inject blend, input": ("inject", {"formula": "blend", "where": "input"}),
    "inject blend, latents": ("inject", {"formula": "blend", "where": "latents"}),
    "inject pull": ("inject", {"formula": "pull"}),
    "inject add, input, keep": ("inject", {"formula": "add", "where": "input", "tokens": "keep"}),
}


def cells(*, gate: bool = True, others: bool = True) -> list[Cell]:
    """Return the cells of the gate, those of the other forms, or all."""
    wanted = [(name, steps) for steps in STEPS for name in (BASE, GATE)] if gate else []
    if others:
        names = [name for name in (BASE, *FORMS) if name != GATE]
        wanted += [(name, steps) for steps in OTHERS_STEPS for name in names]
    return [_cell(name, steps) for name, steps in dict.fromkeys(wanted)]


def _cell(name: str, steps: int) -> Cell:
    method, options = FORMS.get(name, (BASE, {}))
    stage = rh.Stage(rh.method(method, **options), 1.0)
    kinds = LOCAL if steps in LOCAL_ONLY else None
    return Cell(f"{name}, {steps} steps", stage, steps=steps, kinds=kinds)


def figures_of(card: Scorecard, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the differences of each form to the base, by steps, region and measure.

    Args:
        card: What was measured.
        before: What this function returned, if something is left out now.
    """
    forms: dict[str, Any] = {}
    there = {cell.name for cell in card.cells}
    for name, (method, options) in FORMS.items():
        if f"{name}, {OTHERS_STEPS[0]} steps" not in there:
            forms |= {name: before["forms"][name]} if name in before.get("forms", {}) else {}
            continue
        by_steps = {}
        for steps in sorted(STEPS if name == GATE else OTHERS_STEPS):
            pair = (f"{name}, {steps} steps", f"{BASE}, {steps} steps")
            found = {
                "local": {it: difference(card, *pair, it, LOCAL) for it in (*DONE, *KEPT)},
                "whole": {it: difference(card, *pair, it, WHOLE) for it in (*DONE, "edges")},
            }
            by_steps[str(steps)] = found
        forms[name] = {"method": method, "options": options, "steps": by_steps}
    base = {
        str(steps): {
            it: round(float(card.interval(f"{BASE}, {steps} steps", it, LOCAL).mean), 4)
            for it in (*DONE, *KEPT)
        }
        for steps in sorted(STEPS)
        if f"{BASE}, {steps} steps" in there
    }
    return {
        "command": "python benchmarks/worth.py",
        "rule": RULE,
        "scenes": {"from": FROM, "local": EACH_LOCAL, "whole": EACH_WHOLE},
        "base": before.get("base", {}) | base,
        "forms": forms,
        "becomes_default": becomes_default(forms[GATE]["steps"]),
    }


def becomes_default(by_steps: Mapping[str, Any]) -> bool:
    """Return whether ``RULE`` is met."""
    return all(_holds(found["local"]) and _uncontradicted(found) for found in by_steps.values())


def _holds(local: Mapping[str, Any]) -> bool:
    kept = all(local[name][1] > 0.0 for name in ("kept_ssim", "kept_ciede2000"))
    return kept and all(local[name][1] >= -LOSS for name in ("done_ciede2000", "done"))


def _uncontradicted(found: Mapping[str, Any]) -> bool:
    kept = all(found["local"][name][2] >= 0.0 for name in KEPT)
    done = [found[part][name] for part in found for name in DONE]
    return kept and all(it[2] >= -LOSS for it in done if it)


@click.command()
@click.option("--table", "only", is_flag=True, help="Measure nothing.")
@click.option("--gate", is_flag=True, help="Measure the gate alone.")
@click.option("--others", is_flag=True, help="Measure all but the gate.")
def main(*, only: bool, gate: bool, others: bool) -> None:
    """Measure, and write the figures."""
    torch.set_num_threads(1)
    if not only:
        part = gate != others
        wanted = cells(gate=gate or not part, others=others or not part)
        card = run(pairs_of(FROM, EACH_LOCAL, EACH_WHOLE), wanted, STORE)
        before = json.loads(FIGURES.read_text(encoding="utf-8")) if part else {}
        text = json.dumps(figures_of(card, before), indent=1)
        FIGURES.write_text(text + "\n", encoding="utf-8")
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    for name, form in figures["forms"].items():
        for steps, found in form["steps"].items():
            for part, measures in found.items():
                told = "  ".join(
                    f"{it} {value[0]:+.4f} [{value[1]:+.4f}, {value[2]:+.4f}]"
                    for it, value in measures.items()
                    if value
                )
                click.echo(f"{name}, {steps} steps, {part}: {told}")
    click.echo(f"the gate becomes inject's default: {figures['becomes_default']}")


if __name__ == "__main__":
    main()
