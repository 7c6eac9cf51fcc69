"""Write the page of `keep_pixels` from what was measured.

    python docs/write_keeping.py

The figures are those of `python benchmarks/keeping.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "keep-pixels.md"
FIGURES = Path(__file__).parents[1] / "benchmarks" / "results" / "keeping.json"
HEADS = {
    "done_ciede2000": "done, CIEDE2000",
    "done_ssim": "done, SSIM",
    "kept_ciede2000": "kept, ΔE00",
    "kept_ssim": "kept, SSIM",
    "edges": "edges",
}
TEXT = """\
<!-- Written by `python docs/write_keeping.py`; not by hand. -->
# Keeping the pixels that were not edited

A model rebuilds all of a picture, also what it was not asked to change, and through an
autoencoder: a little is lost everywhere. `keep_pixels` puts the source's own pixels back where the
finished picture is near them. Nobody paints a mask.

```
refhooks edit demo/photo.png "make the circle blue" -o blue.png --plugin keep_pixels
refhooks edit demo/photo.png "make the circle blue" -o less.png --plugin keep_pixels:strength=0.5
```

```python
import refhooks as rh

result = editor.edit(
    "demo/photo.png", "make the circle blue", plugins=[rh.plugin("keep_pixels")], seed=0
)
```

![One edit, without and with keep_pixels, and its difference to the source](images/keep-pixels.png)

In a file, and in a cell of `refhooks score --cells` (there as `[[cell.plugin]]`):

```toml
[[plugin]]
plugin = "keep_pixels"
strength = 0.5
```

Chains, batches and grids take it as they take any run plugin, and a recipe replays it to the bit.

## What is near

`d` is the RMS difference of sRGB values, 0–1, over the channels and the 5 by 5 pixels around each.
Up to `d = t` a pixel is the source's, from `2·t` on the edit's, and between the two are mixed.
The threshold is measured on each source, since autoencoders differ from family to family:

```
P99 = the 99th percentile of d(decode(encode(source)), source)
t   = strength · 4/3 · P99,  with 4/3 · P99 held within 0.01 and 0.06
```

That costs one more pass of the autoencoder's decoder, once a run. On the embedded model it is about
.04. The upper bound is there because at .08 edits that can be seen begin to go (*done* by SSIM
−.042 on the scenes on which the form was chosen; at .06 −.008, at .04 +.001). `threshold=`, 0–1,
takes the place of `4/3 · P99`; nothing is measured then.

`strength` is 0–2, a number or a schedule, of which the last step counts: the picture is finished
then. One that is 0 at the last step is told to do nothing.

## What is left alone

A picture of which less than a tenth is nearer to its source than `t` was edited as a whole: a
style, a light. It stays as it was made, to the bit, and a warning says so. In a batch each picture
is looked at by itself.

## Beside others

- **An edit mask** has the last word outside of it. Inside, `keep_pixels` acts as ever; that nearly
  all of a picture outside of the mask is near its source counts too, so a style inside of a mask is
  taken for a local edit.
- **[`auto_mask`](auto-mask.md)** has the last word outside of the mask that
  it finds, as an edit mask has; inside, and on pictures that it leaves alone, `keep_pixels` acts.
- **`align`** moves the picture back first. Without it, a model that moves the picture by a few
  pixels leaves little that is near, and little is put back.
- **Another size**: what is put back is the source, resized to the output. Where the output is
  larger than the source, that is softer than what a model draws.
- Plugins that act on the finished picture do so in the order of the call: grain that is given after
  `keep_pixels` lies over what was put back as well.

It knows pixels alone. Where an edit is as faint as the autoencoder's own error, it is undone: use
an [edit mask](masks.md), or a smaller `strength`. Without a source picture it is refused.

## Measured

{sets} held-out edits of the embedded model's world that the form was not chosen on, each
picture with and without `keep_pixels` of one run: plain `default`, and the difference with its 95 %
interval. *Done* is 1 for the right answer and 0 for the source, in what should change; *kept* is
SSIM, or minus the mean ΔE00, to the source outside of it; *edges* is the F1 of edges with the right
answer's, where all should change. Made by `python benchmarks/keeping.py`.

{table}

The recogniser: {recognised}

It is a small world, of flat colours: trust the direction more than the numbers. No photograph was
measured.
"""


def page() -> str:
    """Return the page in Markdown."""
    cells = json.loads(FIGURES.read_text(encoding="utf-8"))["cells"]
    heads = ["edits", *HEADS.values()]
    lines = [heads, ["---"] * len(heads)]
    for name, cell in cells.items():
        steps, _, group = name.split(", ")
        lines.append([f"{cell['edits']} {group}, {steps}", *(_told(cell, it) for it in HEADS)])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    sets = sum(cell["edits"] for name, cell in cells.items() if name.startswith("8 "))
    return TEXT.format(table=table, sets=sets, recognised=_recognised(cells))


def _told(cell: dict[str, Any], name: str) -> str:
    if name not in cell:
        return "–"
    low, high = cell[name]["difference"][1:]
    return f"{cell[name]['plain']:.3f} {cell[name]['difference'][0]:+.3f} [{low:+.3f}, {high:+.3f}]"


def _recognised(cells: dict[str, Any]) -> str:
    """How many whole edits were left alone, and which local ones were."""
    whole = [cell for name, cell in cells.items() if name.endswith("whole")]
    local = [cell for name, cell in cells.items() if name.endswith("local")]
    alone = sum(cell["edits"] - cell["acted_on"] for cell in whole)
    missed: dict[str, int] = {}
    for cell in local:
        for kind, (acted, edits) in cell["by_kind"].items():
            if edits > acted:
                missed[kind] = missed.get(kind, 0) + edits - acted
    told = ", ".join(f"{count} of {kind}" for kind, count in sorted(missed.items())) or "none"
    edits = sum(it["edits"] for it in local)
    return (
        f"{alone} of {sum(it['edits'] for it in whole)} whole-picture edits were left alone, at"
        f" both numbers of steps together; of {edits} local ones, left alone as well: {told}."
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
