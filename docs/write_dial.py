"""Write the page on how evenly strength acts, and its plot, from what was measured.

    python docs/write_dial.py

The figures are those of `python benchmarks/dial.py` and `python benchmarks/hold.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "dial.md"
PLOT = HERE / "images" / "dial.png"
SHOWN = (0.0, 0.2, 0.5, 0.8, 1.0, 1.3, 2.0)  # of the strengths, in the table
RESULTS = HERE.parent / "benchmarks" / "results"
CODE = {
    "default": "`default`", "cross_attn": "`cross_attn`",
    "cross_attn even": '`cross_attn`, `gain="even"`', "concat": "`concat`",
    "inject add": "`inject`", "inject gate": '`inject`, `formula="gate"`',
}  # fmt: skip
TEXT = """\
<!-- Written by `python docs/write_dial.py`; not by hand. -->
# How evenly strength acts

Strength should be a dial: a little more of it, and the result is a little nearer to the reference.
How even that is differs from method to method, and most dials end before 2.

![The distance to the source over strength, for each method](images/dial.png)

The plot and the table show the mean CIEDE2000 difference (ΔE) between result and source over the
whole picture: {scenes} held-out edits of the embedded model's world, {steps} steps each, no edit
mask (`python benchmarks/dial.py`). It is a small model: trust the order more than the numbers.

{table}

*Falls* is Spearman's rank correlation of strength and closeness from 0 to {high}: of the mean over
the edits, then the mean, lowest and highest of the single edits. *Below 0.2* is the share of the
whole range that lies between 0 and 0.2. *Beyond 1* is the change of the distance from 1 to 2, with
its 95 % interval; below 0 it comes nearer still.

## Where a dial ends

- `default` and `cross_attn` end at 1: beyond it nothing changes that could be seen.
- `concat` ends at 1.3: beyond it, it comes away from the source again.
- `inject` goes on to 2 in both forms.

`refhooks plan` and every edit say so where a strategy goes further:

```
refhooks edit demo/photo.png "make it night" -o night.png --method cross_attn --strength 1.4
```

```text
note: reference 1: strength 1.4 is beyond 1, the end of cross_attn's dial
```

A method of your own says where it ends with the class attribute `dial_end`.

## A more even `cross_attn`

Four fifths of what `cross_attn` does lie below strength 0.2: a reference that is attended a little
already decides a lot. With `gain="even"` the weight is `s ** 2.5` below 1, so that more of the dial
can be used; at 0, at 1 and above both are the same to the bit. Of the exponents 2, 2.5 and 3 it is
the one whose steepest fifth of the dial is the least steep on this model; for another one it is an
estimate.

```
refhooks edit demo/photo.png "make it night" -o even.png --method cross_attn --option gain=even --strength 0.5
```

## Holding what is kept: tried, and not shipped

One strength keeps much of one picture and little of another. A controller that measures at each
step how far the predicted picture is from the source, and sets the next step's strength by it,
could keep as much of every picture. It can be built with the hook `refhooks_strengths`, and
`benchmarks/hold.py` does so. Its rule was set before the first run: {rule}

{hold}

The spread, a standard deviation over the edits, does not come near a half, and done falls where
the spread gains most. **So it does not ship.** The hook stays, for what you want to measure.
"""  # noqa: E501


def page(dial: dict[str, Any], hold: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    return TEXT.format(
        scenes=dial["scenes"]["count"],
        steps=dial["steps"],
        high=1.3,
        table=_dials(dial),
        rule=hold["rule"][0].lower() + hold["rule"][1:],
        hold=_holds(hold),
    )


def _dials(dial: dict[str, Any]) -> str:
    shown = [place for place, it in enumerate(dial["strengths"]) if it in SHOWN]
    heads = ["method", *(f"{dial['strengths'][place]:g}" for place in shown)]
    rows = [[*heads, "falls", "below 0.2", "beyond 1"]]
    for name, form in dial["forms"].items():
        change = "{:+.2f} [{:+.2f}, {:+.2f}]".format(*form["beyond"]["1 to 2"])
        mean, low, high = form["scenes"]
        rows.append([
            CODE[name], *(f"{form['distance'][place]:.1f}" for place in shown),
            f"{form['rank']:.2f}; {mean:.2f} [{low:.2f}, {high:.2f}]",
            f"{form['below_fifth']:.0%}", change,
        ])  # fmt: skip
    return _table(rows)


def _holds(hold: dict[str, Any]) -> str:
    rows = [
        ["held at", "kept", "spread", "done", "fixed strength: spread", "done", "done, difference"]
    ]
    for name, it in hold["hold"].items():
        rows.append([
            name.removeprefix("hold "), f"{it['kept']:.3f}", f"{it['spread']:.3f}",
            f"{it['edit_done']:.3f}", f"{it['fixed']['spread']:.3f}",
            f"{it['fixed']['edit_done']:.3f}", "{:+.3f} [{:+.3f}, {:+.3f}]".format(*it["done"]),
        ])  # fmt: skip
    return _table(rows)


def _table(rows: list[list[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw(dial: dict[str, Any]) -> None:
    """Draw the distance over strength, a line for each form."""
    from matplotlib.figure import Figure  # noqa: PLC0415  only for the plot

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, form in dial["forms"].items():
        label = CODE[name].replace("`", "")
        axes.plot(dial["strengths"], form["distance"], marker="o", markersize=3, label=label)
    axes.set(xlabel="Strength", ylabel="Distance to the source (ΔE)", xlim=(0, 2), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(PLOT, dpi=100, metadata={"Software": None})


def read(name: str) -> dict[str, Any]:
    """Return the figures of a benchmark."""
    held: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return held


if __name__ == "__main__":
    figures = read("dial")
    draw(figures)
    PAGE.write_text(page(figures, read("hold")), encoding="utf-8")
