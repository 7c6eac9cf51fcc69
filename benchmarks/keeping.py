"""What `keep_pixels` keeps, and what it costs: held-out edits of toy, at 8 and 16 steps.

    python benchmarks/keeping.py [--scenes 24]   measures; goes on where it was stopped (of the
                                                 figures here, 16 steps have 12 scenes a kind)
    python benchmarks/keeping.py --table         writes the figures of what is there

The forms were chosen on other scenes (seeds from 600,000); these were looked at once. A picture
with and without `keep_pixels` is of one run. Figures are differences to plain `default`, paired by
scene, with 95 % bootstrap intervals; *kept* is that outside of what should change.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

import refhooks as rh
from refhooks import score as measures
from refhooks.batch import Job, edit_batch
from refhooks.pictures import load_picture, to_pictures
from refhooks.score import _perceived as seen
from refhooks_toy import EDIT_KINDS, HELD_OUT, WHOLE_PICTURE, make_pairs

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
    from refhooks_toy._held_out import as_pairs, faster  # noqa: PLC0415

    STORE.parent.mkdir(exist_ok=True)
    lines = STORE.read_text(encoding="utf-8").splitlines() if STORE.exists() else []
    done = {tuple(json.loads(line)["cell"]) for line in lines}
    editor, started = rh.Editor.from_pretrained("toy"), time.perf_counter()
    editor.pipe.set_progress_bar_config(disable=True)
    kinds = {
        kind: as_pairs(make_pairs(kind, range(HELD_OUT + FROM, HELD_OUT + FROM + each)))
        for kind in EDIT_KINDS
    }
    wanted = [
        (name, steps, kind, first)
        for name in RUNS
        for steps in STEPS
        for first in range(0, each, TOGETHER)
        for kind in EDIT_KINDS
    ]
    with faster(editor.pipe, half=False), STORE.open("a", encoding="utf-8") as store:
        for name, steps, kind, first in wanted:
            pairs = kinds[kind][first : first + TOGETHER]
            if time.perf_counter() - started > limit:
                return
            if all((pair.name, steps, name) in done for pair in pairs):
                continue
            for way, images in RUNS[name](editor, pairs, steps).items():
                for pair, image in zip(pairs, images, strict=True):
                    row = {"cell": (pair.name, steps, way), **figures_of(image, pair)}
                    store.write(json.dumps(row) + "\n")
            store.flush()


def table() -> dict[str, Any]:
    """Return the figures of what was measured, by steps and way, local edits and whole ones."""
    rows = [json.loads(line) for line in STORE.read_text(encoding="utf-8").splitlines()]
    by_cell = {tuple(row["cell"]): row for row in rows}
    ways = sorted({cell[2] for cell in by_cell} - {PLAIN})
    found: dict[str, Any] = {}
    for steps in STEPS:
        for way in ways:
            for group in ("local", "whole"):
                cells = [
                    cell
                    for cell in by_cell
                    if cell[1:] == (steps, way)
                    and (_kind(cell) in WHOLE_PICTURE) == (group == "whole")
                ]
                pairs = [(by_cell[cell], by_cell[(*cell[:2], PLAIN)]) for cell in cells]
                if pairs:
                    found[f"{steps} steps, {way}, {group}"] = _compared(pairs)
    return {"from": FROM, "cells": found}


def _kind(cell: tuple[Any, ...]) -> str:
    return str(cell[0]).rpartition(" ")[0]


def _compared(pairs: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"edits": len(pairs), "acted_on": 0, "by_kind": {}}
    for name in MEASURES:
        values = np.array([(own[name], plain[name]) for own, plain in pairs if name in own])
        if len(values):
            lead = measures.interval(values[:, 0] - values[:, 1])
            found[name] = {
                "mean": float(values[:, 0].mean()),
                "plain": float(values[:, 1].mean()),
                "difference": [lead.mean, lead.low, lead.high],
            }
    for own, plain in pairs:
        acted = any(own[name] != plain[name] for name in MEASURES if name in own)
        kind = found["by_kind"].setdefault(_kind(own["cell"]), [0, 0])
        kind[0] += acted
        kind[1] += 1
        found["acted_on"] += acted
    return found


@click.command()
@click.option("--scenes", "each", type=click.IntRange(1), default=24, show_default=True,
              help="Of each kind.")  # fmt: skip
@click.option("--limit", type=float, default=7200.0, show_default=True, help="Seconds.")
@click.option("--table", "only", is_flag=True, help="Measure nothing.")
def main(each: int, limit: float, *, only: bool) -> None:
    """Measure, and write the figures."""
    if not only:
        run(each, limit)
    found = table()
    FIGURES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, cell in found["cells"].items():
        told = "  ".join(
            f"{each} {cell[each]['plain']:.3f}{cell[each]['difference'][0]:+.4f}"
            f" [{cell[each]['difference'][1]:+.4f}, {cell[each]['difference'][2]:+.4f}]"
            for each in MEASURES
            if each in cell
        )
        click.echo(f"{name:30} {cell['acted_on']}/{cell['edits']}  {told}")


if __name__ == "__main__":
    main()
