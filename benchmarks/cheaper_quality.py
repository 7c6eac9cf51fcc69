"""What cheaper ways to edit cost in quality: held-out local edits of toy, at 8 and 28 steps.

    python benchmarks/cheaper_quality.py [--scenes 12]   measures; goes on where it was stopped
    python benchmarks/cheaper_quality.py --table         prints the figures of what is there

Guidance in a part of the steps, diffusers' step caches at the settings that their documentation
gives, and both beside ``compute="inside"`` with the mask of what should change. Every edit has the
same noise in every way. Figures are differences to the whole edit, paired by scene, with 95 %
bootstrap intervals.
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _paired import by_cell, command, compared, editing
from local_quality import batches, box_of, figures_of

import refhooks as rh
from refhooks.batch import Job, edit_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from refhooks.score import Pair

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "cheaper_quality.json"
STORE = ROOT / "build" / "cheaper_quality.jsonl"
FEWER = 55  # edits at 28 steps
INSIDE = "inside:reuse=7"
# The scale is the checkpoint's own, 2; it is off at 1.
WAYS: dict[str, dict[str, Any]] = {
    "whole": {},
    "off": {"cfg": 1.0},
    "from .25": {"cfg": "0.25@2"},
    "from .5": {"cfg": "0.5@2"},
    "from .75": {"cfg": "0.75@2"},
    "until .5": {"cfg": "0@2,0.5@1"},
    "until .25": {"cfg": "0@2,0.25@1"},
    ".25 to .75": {"cfg": "0.25@2,0.75@1"},
    "inside": {"compute": "inside"},
    "inside, reuse 7": {"compute": INSIDE},
    "inside, reuse 7, from .5": {"compute": INSIDE, "cfg": "0.5@2"},
    "auto_mask": {"plugins": [rh.plugin("auto_mask")]},
    "auto_mask, reuse 7, from .5": {
        "plugins": [rh.plugin("auto_mask", reuse=7)],
        "cfg": "0.5@2",
    },
    "FBCache .2": {"cache": "fbcache:threshold=0.2"},
    "FBCache .05": {"cache": "fbcache:threshold=0.05"},
    "TaylorSeer 5": {"cache": "taylorseer:interval=5,order=1,start=3"},
}
INTERVALS = ("off", "from .25", "from .5", "from .75", "until .5", "until .25", ".25 to .75")
ORDER = (
    *((8, way) for way in ("whole", "from .5", "until .5", "off", "from .75", ".25 to .75")),
    (28, "whole"), (28, "FBCache .2"), (28, "inside, reuse 7, from .5"), (28, "TaylorSeer 5"),
    (28, "from .5"), (28, "inside, reuse 7"),
    *((8, way) for way in ("from .25", "until .25")),
    *((8, way) for way in ("FBCache .2", "FBCache .05", "TaylorSeer 5")),
    (28, "FBCache .05"), (28, "inside"), (28, "auto_mask"), (28, "auto_mask, reuse 7, from .5"),
)  # fmt: skip
MEASURES = ("done", "kept")


@contextlib.contextmanager
def counted(pipe: Any) -> Iterator[list[int]]:
    """Count the passes in which the attention of the second block is computed."""
    calls: list[int] = []
    layer = pipe.transformer.transformer_blocks[1].attn.to_q
    handle = layer.register_forward_hook(lambda *_: calls.append(1))
    try:
        yield calls
    finally:
        handle.remove()


def run(each: int, limit: float) -> None:
    """Edit what has not been edited yet, for at most ``limit`` seconds."""
    drawn = batches(each)
    with editing(STORE, limit) as (editor, kept):
        for steps, way in ORDER:
            left = 10**6 if steps == 8 else FEWER
            for _, pairs in drawn:
                chosen, left = pairs[:left], max(0, left - len(pairs))
                own = [pair for pair in chosen if (pair.name, steps, way) not in kept.done]
                if own and not kept.is_over:
                    kept.add(edited(editor, own, steps, way))


def edited(editor: rh.Editor, pairs: Sequence[Pair], steps: int, way: str) -> list[dict[str, Any]]:
    """Edit pairs whose mask is one; what decides for itself has each of them alone."""
    options = dict(WAYS[way])
    box = box_of(pairs[0].mask)
    assert box is not None  # noqa: S101  as they are drawn
    if "compute" in options:
        options["edit_mask"] = ",".join(map(str, box))
    jobs = [Job(pair.source, pair.prompt, seed=pair.seed) for pair in pairs]
    groups = [[job] for job in jobs] if {"cache", "plugins"} & set(options) else [jobs]
    images: list[Any] = []
    shares: list[float] = []
    for group in groups:
        with counted(editor.pipe) as calls:
            images += edit_batch(editor, group, steps=steps, **options).images
        shares += [len(calls) / (2 * steps)] * len(group)
    return [
        {"cell": (pair.name, steps, way), "computed": share, **figures_of(image, pair, box)}
        for pair, image, share in zip(pairs, images, shares, strict=True)
    ]


def table() -> dict[str, Any]:
    """Return the figures of what was measured, by steps and way."""
    rows = by_cell(STORE)
    found: dict[str, Any] = {}
    for steps, way in itertools.product((8, 28), WAYS):
        both = [
            (row, rows[cell[0], steps, "whole"])
            for cell, row in rows.items()
            if cell[1:] == (steps, way) and (cell[0], steps, "whole") in rows
        ]
        if both:
            share = [own["computed"] for own, _ in both if "computed" in own]
            computed = {"computed": float(np.mean(share))} if share else {}
            named = compared(both, MEASURES, "whole")
            found[f"{steps} steps, {way}"] = {"edits": len(both), **named, **computed}
    return {"command": "python benchmarks/cheaper_quality.py", "scale": 2.0, "cells": found}


main = command(run, table, FIGURES, MEASURES, scenes=12)

if __name__ == "__main__":
    main()
