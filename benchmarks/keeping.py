"""What `keep_pixels` keeps, and what it costs: held-out edits of toy, at 8 and 16 steps.

    python benchmarks/keeping.py [--scenes 24]   measures; goes on where it was stopped (of the
                                                 figures here, 16 steps have 12 scenes a kind)
    python benchmarks/keeping.py --table         writes the figures of what is there

The forms were chosen on other scenes (seeds from 600,000); these were looked at once. A picture
with and without `keep_pixels` is of one run. Figures are differences to plain `default`, paired by
scene, with 95 % bootstrap intervals; *kept* is that outside of what should change.
"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _paired import acted_on, by_cell, command, compared, editing, kind_of

import refhooks as rh
from refhooks import score as measures
from refhooks.batch import Job, edit_batch
from refhooks.pictures import load_picture, to_pictures
from refhooks.score import _perceived as seen
from refhooks_toy import EDIT_KINDS, HELD_OUT, WHOLE_PICTURE, make_pairs
from refhooks_toy._held_out import as_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks.score import Pair

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "keeping.json"
STORE = ROOT / "build" / "keeping.jsonl"
FROM = 700_000  # of the held-out scenes; other figures use those before
TOGETHER = 12
STEPS = (8, 16)
PLAIN = "plain"
MEASURES = ("done_ciede2000", "done_ssim", "kept_ssim", "kept_ciede2000", "edges")


class Shown:
    """Notes the pictures as they are between two other plugins."""

    def __init__(self) -> None:
        """Note nothing yet."""
        self.pictures: Sequence[Any] = ()

    @rh.hookimpl
    def refhooks_image(self, images: Any) -> None:
        """Note them."""
        self.pictures = to_pictures(images)


def figures_of(image: Any, pair: Pair) -> dict[str, float]:
    """Return *edit done*, and *kept* or, where all should change, edges in place, of a result.

    *Kept* by CIEDE2000 is minus the mean difference to the source: 0 is equal.
    """
    out, source, right = (
        np.asarray(picture, dtype=np.uint8)[None] for picture in (image, pair.source, pair.right)
    )
    mask = np.asarray(pair.mask)[None]
    found = {
        "done_ciede2000": seen.done_by_colour(out, source, right, mask),
        "done_ssim": seen.done_by_structure(out, source, right, mask),
    }
    if mask.all():
        found["edges"] = measures.edges_kept(out, right)
    else:
        away = seen.colour_difference(out, source)
        found["kept_ssim"] = seen.kept_by_structure(out, source, mask)
        found["kept_ciede2000"] = -np.array([away[~mask].mean()])
    return {name: float(values[0]) for name, values in found.items()}


def run_plain(editor: rh.Editor, pairs: Sequence[Pair], steps: int) -> dict[str, Sequence[Any]]:
    """Edit with `default`, and keep pixels of the same pictures."""
    shown = Shown()
    kept = edited(editor, pairs, steps, [shown, rh.plugin("keep_pixels")])
    return {PLAIN: shown.pictures, "keep_pixels": kept}


RUNS = {PLAIN: run_plain}


def edited(
    editor: rh.Editor, pairs: Sequence[Pair], steps: int, plugins: Sequence[Any]
) -> Sequence[Any]:
    """Return the results of pairs, in one batch."""
    jobs = [
        Job(
            pair.source,
            pair.prompt,
            seed=pair.seed,
            references=[load_picture(it) for it in pair.references],
        )
        for pair in pairs
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rh.RefhooksWarning)  # of whole pictures, left alone
        return edit_batch(editor, jobs, steps=steps, plugins=plugins).images


def run(each: int, limit: float) -> None:
    """Edit what has not been edited yet, for at most ``limit`` seconds."""
    kinds = {
        kind: as_pairs(make_pairs(kind, range(HELD_OUT + FROM, HELD_OUT + FROM + each)))
        for kind in EDIT_KINDS
    }
    firsts = range(0, each, TOGETHER)
    with editing(STORE, limit) as (editor, kept):
        for name, steps, first, kind in itertools.product(RUNS, STEPS, firsts, EDIT_KINDS):
            pairs = kinds[kind][first : first + TOGETHER]
            if kept.is_over:
                return
            if all((pair.name, steps, name) in kept.done for pair in pairs):
                continue
            for way, images in RUNS[name](editor, pairs, steps).items():
                kept.add(
                    {"cell": (pair.name, steps, way), **figures_of(image, pair)}
                    for pair, image in zip(pairs, images, strict=True)
                )


def table() -> dict[str, Any]:
    """Return the figures of what was measured, by steps and way, local edits and whole ones."""
    rows = by_cell(STORE)
    ways = sorted({cell[2] for cell in rows} - {PLAIN})
    found: dict[str, Any] = {}
    for steps, way, group in itertools.product(STEPS, ways, ("local", "whole")):
        both = [
            (row, rows[(*cell[:2], PLAIN)])
            for cell, row in rows.items()
            if cell[1:] == (steps, way) and (kind_of(cell) in WHOLE_PICTURE) == (group == "whole")
        ]
        if both:
            found[f"{steps} steps, {way}, {group}"] = {
                "edits": len(both),
                **acted_on(both, MEASURES),
                **compared(both, MEASURES, "plain"),
            }
    return {"from": FROM, "cells": found}


main = command(
    run, table, FIGURES, MEASURES, scenes=24, beside=lambda it: f"acted on {it['acted_on']}: "
)

if __name__ == "__main__":
    main()
