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
import json
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from keeping import Shown, figures_of
from PIL import Image

import refhooks as rh
from refhooks import score as measures
from refhooks.batch import Job, edit_batch
from refhooks.pictures import load_picture
from refhooks_toy import EDIT_KINDS, HELD_OUT, WHOLE_PICTURE, make_pairs

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
    from refhooks_toy._held_out import as_pairs, faster  # noqa: PLC0415

    STORE.parent.mkdir(exist_ok=True)
    lines = STORE.read_text(encoding="utf-8").splitlines() if STORE.exists() else []
    done = {tuple(json.loads(line)["cell"]) for line in lines}
    editor, started = rh.Editor.from_pretrained("toy"), time.perf_counter()
    editor.pipe.set_progress_bar_config(disable=True)
    kinds = [
        as_pairs(make_pairs(kind, range(HELD_OUT + FROM, HELD_OUT + FROM + each)))
        for kind in EDIT_KINDS
    ]
    with faster(editor.pipe, half=False), STORE.open("a", encoding="utf-8") as store:
        for way, pairs in itertools.product((PLAIN, *WAYS), kinds):
            if way not in (PLAIN, "auto_mask") and pairs[0].kind in WHOLE_PICTURE:
                continue
            for pair in pairs:
                if time.perf_counter() - started > limit:
                    return
                if (pair.name, STEPS, way) not in done:
                    for row in edited(editor, pair, way):
                        store.write(json.dumps(row) + "\n")
                    store.flush()


def table() -> dict[str, Any]:
    """Return the figures of what was measured, by steps and way, local edits and whole ones."""
    rows = [json.loads(line) for line in STORE.read_text(encoding="utf-8").splitlines()]
    by_cell = {tuple(row["cell"]): row for row in rows}
    found: dict[str, Any] = {}
    for way in ("keep_pixels", *WAYS):
        for group in ("local", "whole"):
            pairs = [
                (row, by_cell[name, STEPS, PLAIN])
                for (name, _, own), row in by_cell.items()
                if own == way and (_kind(name) in WHOLE_PICTURE) == (group == "whole")
            ]
            if pairs:
                found[f"{way}, {group}"] = _compared(pairs)
    return {"command": "python benchmarks/auto_mask.py", "from": FROM, "cells": found}


def _kind(name: str) -> str:
    return name.rpartition(" ")[0]


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
        kind = found["by_kind"].setdefault(_kind(own["cell"][0]), [0, 0])
        kind[0] += acted
        kind[1] += 1
        found["acted_on"] += acted
    found["tokens"] = float(np.mean([own["tokens"] / plain["tokens"] for own, plain in pairs]))
    # Of the target alone, once the mask was found; references are whole at every step.
    shares = [1.0 - (plain["least"] - own["least"]) / TOKENS for own, plain in pairs]
    found["area"] = float(np.mean(shares))
    return found


@click.command()
@click.option("--scenes", "each", type=click.IntRange(1), default=20, show_default=True,
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
            f"{each} {cell[each]['plain']:.3f} {cell[each]['difference'][0]:+.4f}"
            f" [{cell[each]['difference'][1]:+.4f}, {cell[each]['difference'][2]:+.4f}]"
            for each in MEASURES
            if each in cell
        )
        click.echo(
            f"{name} {cell['edits']}, acted on {cell['acted_on']}, area {cell['area']:.2f},"
            f" tokens {cell['tokens']:.2f}: {told}"
        )


if __name__ == "__main__":
    main()
