"""Write the page of marks: what each method and form is worth, by what was measured.

    python docs/write_marks.py

The figures are those of `refhooks methods`, which `python benchmarks/marks.py` writes.
"""

from __future__ import annotations

import json
from pathlib import Path

import refhooks as rh
from refhooks._apps.forecast.marks import all_marks, rules
from refhooks.cli._methods import HEADS, cells_of

PAGE = Path(__file__).parent / "marks.md"
HEAD = """\
<!-- Written by `python docs/write_marks.py`; not by hand. -->
# What each method is worth

`refhooks methods` lists every method that is installed, with each form that was measured:

```
refhooks methods
```

{rule}

*Done* and *kept* are those of [the scorecard](score.md#what-is-measured), as differences to the
model's own way; all of it was measured on the embedded model's world, which is small: trust the
order more than the numbers. *A step* is its floating-point operations over those of the model's own
way, by `refhooks.cost`, at 1 MP with one reference. A form with other options than these was not
measured, and neither was a method of somebody else's: both count as *not measured*. `refhooks plan`
says so in a line where a strategy uses a form that is *not shown useful*.

"""
TAIL = """
## Marks of your own method

The class of a method names a file beside its module, and the marks in it are read as those above,
by `refhooks methods`, `refhooks plan` and Python alike:

```python
from pathlib import Path


class Mine:
    name = "mine"
    marks = Path(__file__).with_name("marks.json")
```

```json
{"rule": "What each status means, in words.",
 "marks": [{"method": "mine", "form": "its one form", "options": {"amount": 0.5}, "status": "ahead",
            "figures": {"done": {"mean": 0.02, "low": 0.01, "high": 0.03, "scenes": 200}},
            "cost": 1.0, "families": ["qwen-image-edit-plus"], "steps": 8}]}
```

`options` are all options of the form: with any other the method is *not measured*, as it is without
the file. A file that cannot be read is told once, with the reason, and counts as none.
"""


WORTH = Path(__file__).parents[1] / "benchmarks" / "results" / "worth.json"
GATE = """
## Whether the gate becomes the default of `inject`

`python benchmarks/worth.py` edits {local} fresh scenes with an outside, and {whole} where the whole
picture changes, which nothing was chosen on. {rule} Of the forms of `inject`, one was tried.

Differences of `inject` with `formula="gate"` at 1 to `default` at 1, with 95 % intervals:

{table}

{verdict}
"""


def gate() -> str:
    """Return the section on the gate, from the figures."""
    figures = json.loads(WORTH.read_text(encoding="utf-8"))
    scenes, found = figures["scenes"], figures["forms"]["inject gate"]["steps"]
    names = ("done", "done_ciede2000", "done_ssim", "kept", "kept_ciede2000", "kept_ssim")
    heads = [
        "steps, edits",
        *(it.replace("_ciede2000", ", ΔE").replace("_ssim", ", SSIM") for it in names),
    ]
    lines = [heads, ["---"] * len(heads)]
    for steps, parts in found.items():
        for part, measures in parts.items():
            told = [measures.get(it) for it in names]
            if any(told):
                shown = ["–" if it is None else _figure(it) for it in told]
                lines.append([f"{steps}, {'with an outside' if part == 'local' else part}", *shown])
    verdict = (
        "The rule is met at each number of steps."
        if figures["becomes_default"]
        else "The rule is not met, so `add` stays the default."
    )
    return GATE.format(
        local=6 * scenes["local"], whole=2 * scenes["whole"], rule=figures["rule"],
        table="\n".join("| " + " | ".join(line) + " |" for line in lines), verdict=verdict,
    )  # fmt: skip


def _figure(it: list[float]) -> str:
    return f"{it[0]:+.4f} [{it[1]:+.4f}, {it[2]:+.4f}]"


def page() -> str:
    """Return the page in Markdown."""
    told = [mark for mark in all_marks(rh.load_registry()) if _ships(mark.method)]
    lines = [HEADS, tuple("---" for _ in HEADS)]
    lines += [(f"`{name}`", *rest) for name, *rest in map(cells_of, told)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    [rule] = {rule for rule, of in rules(rh.load_registry()).items() if any(map(_ships, of))}
    return HEAD.format(rule=rule) + table + "\n" + gate() + TAIL


def _ships(method: str) -> bool:
    registry = rh.load_registry()
    record = registry.record(registry.owner("method", method))
    return record is not None and record.distribution == "refhooks"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
