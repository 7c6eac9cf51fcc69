"""What `auto_mask` keeps, costs and saves: held-out edits of toy, at 8 steps.

    python benchmarks/auto_mask.py [--scenes 20]   measures; goes on where it was stopped
    python benchmarks/auto_mask.py --table         writes the figures of what is there

The form was chosen on other scenes (seeds from 600,000 and 800,000); these were looked at once.
Every edit has the same noise in every way, and is made alone. Figures are differences to plain
`default`, paired by scene, with 95 % bootstrap intervals; *kept* is that outside of what should
change. ``right`` is ``compute="inside"`` with an edit mask of just what should change.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _paired import acted_on, by_cell, command, compared, editing, kind_of
from keeping import Shown, figures_of
from PIL import Image

import refhooks as rh
from refhooks.batch import Job, edit_batch
from refhooks.pictures import load_picture
from refhooks_toy import EDIT_KINDS, HELD_OUT, WHOLE_PICTURE, make_pairs
from refhooks_toy._held_out import as_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from refhooks.score import Pair

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "auto_mask.json"
STORE = ROOT / "build" / "auto_mask.jsonl"
FROM = 900_000  # of the held-out scenes; other figures use those before
PLAIN = "plain"
STEPS = 8
TOKENS = 64  # of the target, and of each reference


def auto(**options: Any) -> Any:
    """Return the plugin."""
    return rh.plugin("auto_mask", **options)


WAYS: dict[str, list[Any]] = {
    "auto_mask": [auto()],
    "right": [],
    "auto_mask, all computed": [auto(compute="all")],
    "auto_mask, reuse 7": [auto(reuse=7)],
    "auto_mask and keep_pixels": [auto(), rh.plugin("keep_pixels")],
}
MEASURES = ("done_ciede2000", "done_ssim", "kept_ssim", "kept_ciede2000", "edges")


@contextlib.contextmanager
def counted(pipe: Any) -> Iterator[list[int]]:
    """Note how many tokens of pictures each pass of the transformer has."""
    seen: list[int] = []
    handle = pipe.transformer.register_forward_pre_hook(
        lambda _module, _args, given: seen.append(given["hidden_states"].shape[1]),
        with_kwargs=True,
    )
    try:
        yield seen
    finally:
        handle.remove()


def edited(editor: rh.Editor, pair: Pair, way: str) -> list[dict[str, Any]]:
    """Return the rows of one edit; that of plain `default` has one of `keep_pixels` with it."""
    job = Job(
        pair.source, pair.prompt, seed=pair.seed,
        references=[load_picture(it) for it in pair.references],
    )  # fmt: skip
    shown, options = Shown(), {}
    plugins = [shown, rh.plugin("keep_pixels")] if way == PLAIN else WAYS[way]
    if way == "right" and not np.asarray(pair.mask).all():
        mask = Image.fromarray(np.asarray(pair.mask).astype(np.uint8) * 255)
        options = {"edit_mask": mask, "compute": "inside"}
    with warnings.catch_warnings(), counted(editor.pipe) as seen:
        warnings.simplefilter("ignore", rh.RefhooksWarning)  # of whole pictures, left alone
        image = edit_batch(editor, [job], steps=STEPS, plugins=plugins, **options).images[0]
    images = {"keep_pixels": image, PLAIN: shown.pictures[0]} if way == PLAIN else {way: image}
    return [
        {
            "cell": (pair.name, STEPS, name),
            "tokens": sum(seen) / len(seen),
            "least": min(seen),
            **figures_of(it, pair),
        }
        for name, it in images.items()
    ]


def run(each: int, limit: float) -> None:
    """Edit what has not been edited yet, for at most ``limit`` seconds."""
    kinds = [
        as_pairs(make_pairs(kind, range(HELD_OUT + FROM, HELD_OUT + FROM + each)))
        for kind in EDIT_KINDS
    ]
    with editing(STORE, limit) as (editor, kept):
        for way, pairs in itertools.product((PLAIN, *WAYS), kinds):
            if way not in (PLAIN, "auto_mask") and pairs[0].kind in WHOLE_PICTURE:
                continue
            for pair in pairs:
                if kept.is_over:
                    return
                if (pair.name, STEPS, way) not in kept.done:
                    kept.add(edited(editor, pair, way))


def table() -> dict[str, Any]:
    """Return the figures of what was measured, by steps and way, local edits and whole ones."""
    rows = by_cell(STORE)
    found: dict[str, Any] = {}
    for way in ("keep_pixels", *WAYS):
        for group in ("local", "whole"):
            both = [
                (row, rows[name, STEPS, PLAIN])
                for (name, steps, own), row in rows.items()
                if own == way and (kind_of([name]) in WHOLE_PICTURE) == (group == "whole")
            ]
            if both:
                found[f"{way}, {group}"] = _figures(both)
    return {"command": "python benchmarks/auto_mask.py", "from": FROM, "cells": found}


def _figures(both: Sequence[Any]) -> dict[str, Any]:
    # Of the target alone, once the mask was found; references are whole at every step.
    shares = [1.0 - (plain["least"] - own["least"]) / TOKENS for own, plain in both]
    return {
        "edits": len(both),
        **acted_on(both, MEASURES),
        **compared(both, MEASURES, "plain"),
        "tokens": float(np.mean([own["tokens"] / plain["tokens"] for own, plain in both])),
        "area": float(np.mean(shares)),
    }


def _beside(cell: dict[str, Any]) -> str:
    told = f"acted on {cell['acted_on']}, area {cell['area']:.2f}, tokens {cell['tokens']:.2f}"
    return f"{told}: "


main = command(run, table, FIGURES, MEASURES, scenes=20, beside=_beside)

if __name__ == "__main__":
    main()
