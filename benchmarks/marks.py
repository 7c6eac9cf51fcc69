"""What each method and form is worth, as `refhooks methods` says it: from measured figures alone.

    python benchmarks/marks.py        reads worth.json, forms.json and score.json of results/, and
                                      writes a file of marks beside each method

A form at strength 1 is compared with the model's own method at 1, scene by scene, with the same
seeds. ``RULE`` says what its mark is; nothing is measured here, so it can be run again at any time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

import refhooks as rh

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PLUGINS = ROOT / "plugins"
FAMILY = "qwen-image-edit-plus"  # that of the embedded model
RESAMPLINGS, SEED = 2000, 0
STEPS = 8  # of what was measured on fresh edits
LOSS, PRICE = 0.005, 0.15  # of what may be lost: as good as nothing; at most, for less work
RULE = (
    "Each form at strength 1 beside the model's own method at 1, scene by scene, with 95 %"
    " intervals. Ahead: more done or more kept, and not less of the other than"
    f" {LOSS:g}. Cheaper: a step takes less work, and at most {PRICE:g} of either is lost, at the"
    " ends of the intervals. Same: not a single figure differs. Not shown useful: the rest. A mark"
    " holds by every measure that was taken: RMSE, and CIEDE2000 and SSIM on fresh edits."
)


def main() -> None:
    """Write the file."""
    forms = json.loads((RESULTS / "forms.json").read_text(encoding="utf-8"))
    score = json.loads((RESULTS / "score.json").read_text(encoding="utf-8"))
    worth = json.loads((RESULTS / "worth.json").read_text(encoding="utf-8"))
    place = forms["strengths"].index(1.0)
    cells = {cell["name"]: cell["values"] for cell in score["cells"]}
    own = next(form for form in forms["forms"] if form["ships"])
    marks = []
    for form in forms["forms"]:
        name = form["method"]
        if form["ships"] and f"{name} 1" in cells:
            pairs, steps = (cells[f"{own['method']} 1"], cells[f"{name} 1"]), score["settings"]
        else:
            pairs = tuple(_columns(it["values"][place]) for it in (own, form))
            steps = forms
        marks.append(_mark(form, pairs, int(steps["steps"]), form is own))
    marks += [_by_all(form, name) for name, form in worth["forms"].items()]
    for name in dict.fromkeys(mark["method"] for mark in marks):
        told = {"rule": RULE, "marks": _latest([it for it in marks if it["method"] == name])}
        place = PLUGINS / f"refhooks_{name}" / "marks.json"
        place.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _by_all(form: dict[str, Any], name: str) -> dict[str, Any]:
    """The mark of a form that was measured on fresh edits, by every measure."""
    keys = ("mean", "low", "high", "scenes")
    marks = {}
    for steps, parts in form["steps"].items():
        figures = {it: dict(zip(keys, row, strict=True)) for it, row in parts["local"].items()}
        marks[int(steps)] = _marked({**form, "form": name}, figures, int(steps))
    told = marks.pop(STEPS)
    others = sorted(steps for steps, it in marks.items() if it["status"] != told["status"])
    if others:
        told["note"] = f"not {told['status']} at {', '.join(map(str, others))}"
    return told


def _latest(marks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of fresh edits in place of the others of the same form."""
    return list({json.dumps(it["options"]): it for it in marks}.values())


def _columns(rows: Sequence[dict[str, float | None]]) -> dict[str, list[float | None]]:
    return {name: [row.get(name) for row in rows] for name in ("done", "kept")}


def _mark(form: dict[str, Any], pairs: Any, steps: int, own: bool) -> dict[str, Any]:
    figures = {name: _difference(*[it[name] for it in pairs]) for name in ("done", "kept")}
    return _marked(form, figures, steps, own)


def _marked(
    form: dict[str, Any], figures: dict[str, Any], steps: int, own: bool = False
) -> dict[str, Any]:
    method = rh.method(form["method"], **form["options"])
    cost = rh.cost(rh.Stage(method, 1.0), 8).over_native
    return {
        "method": form["method"],
        "form": form["form"].removeprefix(form["method"]).strip() or "its one form",
        "options": _plain_options(method),
        "status": "baseline" if own else status(figures, cost),
        "figures": figures,
        "cost": round(cost, 3),
        "families": [FAMILY],
        "steps": steps,
    }


def _plain_options(method: Any) -> dict[str, Any]:
    fields = {field.name: getattr(method, field.name) for field in attrs.fields(type(method))}
    return {name: value for name, value in fields.items() if not callable(value)}


def _difference(before: Sequence[Any], after: Sequence[Any]) -> dict[str, Any]:
    """The mean of the paired difference, with its interval, over scenes that have both."""
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if None not in (a, b)]
    lead = np.array([b - a for a, b in pairs])
    random = np.random.default_rng(SEED)
    means = lead[random.integers(0, len(lead), (RESAMPLINGS, len(lead)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    values = {"mean": lead.mean(), "low": low, "high": high}
    return {**{name: round(float(it), 4) for name, it in values.items()}, "scenes": len(lead)}


def status(figures: dict[str, dict[str, Any]], cost: float) -> str:
    """Return the mark by ``RULE``."""
    lows = [it["low"] for it in figures.values()]
    if all(it["low"] == it["high"] == 0.0 for it in figures.values()):
        return "same"
    if max(lows) > 0.0 and min(lows) >= -LOSS:
        return "ahead"
    return "cheaper" if cost < 1.0 and min(lows) >= -PRICE else "not shown useful"


if __name__ == "__main__":
    main()
