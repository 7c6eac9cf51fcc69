"""What ``compute="inside"`` costs a local edit in quality: held-out edits of toy, at 4 to 28 steps.

    python benchmarks/local_quality.py [--scenes 44]   measures; goes on where it was stopped
    python benchmarks/local_quality.py --table         prints the tables of what is there

Every edit is made with the same mask, a square around what should change, and the same noise: with
all tokens, and once in every other way. Figures are differences to all tokens, paired by scene,
with 95 % bootstrap intervals.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _paired import by_cell, command, compared, editing

import refhooks as rh
from refhooks import score as measures
from refhooks.batch import Job, edit_batch
from refhooks_toy import HELD_OUT, SIZE, make_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from refhooks.score import Pair

    Array = npt.NDArray[np.float64]

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "results" / "local_quality.json"
STORE = ROOT / "build" / "local_quality.jsonl"
KINDS = ("color-change", "object-swap", "add-elements", "remove-elements", "expression-change")
FROM = 300_000  # of the held-out scenes; other figures use those before
DRAWN = 500  # of each kind, of which those are edited whose masks are alike
TOKEN = 8  # pixels
SIDES = (24, 32, 40)  # of masks
FEW, MOST = 4, 25  # edits at once
WAYS = {
    "all": "all",
    "inside": "inside",
    "reuse 4": "inside:reuse=4",
    "reuse 4, near 1": "inside:reuse=4,near=1",
    "reuse 7": "inside:reuse=7",
    "reuse 7, near 1": "inside:reuse=7,near=1",
    "reuse 2": "inside:reuse=2",
    "halo 0": "inside:halo=0",
    "halo 2": "inside:halo=2",
}
ORDER = (  # what is asked first
    *((steps, way) for steps in (8, 28, 4, 16) for way in ("all", "inside")),
    *((steps, way) for way in list(WAYS)[2:5] for steps in (28, 8, 16, 4)),
    *((8, way) for way in list(WAYS)[6:]),
    *((28, way) for way in list(WAYS)[5:]),
)
MEASURES = ("done", "kept", "seam")

Box = tuple[int, int, int, int]


def batches(each: int) -> list[tuple[Box, list[Pair]]]:
    """Draw held-out edits, ``each`` of every kind, in batches with one mask.

    A mask is the smallest square of whole tokens in which all lies that should change. Edits whose
    mask few others have are left out, so that the rest can be made together; small ones come first.
    """
    from refhooks_toy._held_out import as_pairs  # noqa: PLC0415

    by_box: dict[Box, list[Pair]] = {}
    for kind in KINDS:
        for pair in as_pairs(make_pairs(kind, range(HELD_OUT + FROM, HELD_OUT + FROM + DRAWN))):
            box = None if pair.mask is None else box_of(pair.mask)
            if box is not None:
                by_box.setdefault(box, []).append(pair)
    left, found = dict.fromkeys(KINDS, each), []
    for box, pairs in sorted(by_box.items(), key=lambda it: (it[0][2], -len(it[1]), it[0])):
        taken: list[Pair] = []
        if len(pairs) < FEW:
            continue
        for pair in sorted(pairs, key=lambda it: it.seed):
            if left[pair.kind] and len(taken) < MOST:
                left[pair.kind] -= 1
                taken.append(pair)
        found += [(box, taken)] if taken else []
    return found


def box_of(mask: npt.NDArray[np.bool_]) -> Box | None:
    """Return x, y and sides of the smallest square around what is covered, if it is small."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    for side in SIDES:
        corner = [min(int(it[0]) // TOKEN * TOKEN, SIZE - side) for it in (columns, rows)]
        ends = [
            int(it[-1]) < start + side for it, start in zip((columns, rows), corner, strict=True)
        ]
        if all(ends):
            return corner[0], corner[1], side, side
    return None


def ring(box: tuple[int, int, int, int]) -> npt.NDArray[np.bool_]:
    """Return the pixels that lie up to two tokens inside of a box, or outside of it."""
    x, y, width, height = box
    wide, narrow = np.zeros((2, SIZE, SIZE), dtype=bool)
    reach = 2 * TOKEN
    wide[max(0, y - reach) : y + height + reach, max(0, x - reach) : x + width + reach] = True
    narrow[y + reach : max(0, y + height - reach), x + reach : max(0, x + width - reach)] = True
    return wide & ~narrow


def figures_of(image: Any, pair: Pair, box: Box) -> dict[str, float]:
    """Return *edit done*, and the RMSE outside of what should change and in the seam."""
    out, source, right = (
        np.asarray(picture, dtype=np.uint8)[None] for picture in (image, pair.source, pair.right)
    )
    mask = np.asarray(pair.mask)[None]
    return {
        "done": float(measures.edit_done(out, source, right, mask)[0]),
        "kept": float(measures.rmse(out, source, ~mask)[0]),
        "seam": float(measures.rmse(out, right, ring(box)[None])[0]),
    }


def ratio(way: str, share: float, steps: int) -> float:
    """Return how many times fewer operations it is than all tokens, at 1 MP and full size."""
    side = f"{100 * share**0.5:.4f}%"
    found = rh.cost("default", steps, edit_mask=f"0,0,{side},{side}", compute=WAYS[way])
    return 1.0 / found.over_native


def run(each: int, limit: float) -> None:
    """Edit what has not been edited yet, for at most ``limit`` seconds."""
    drawn = batches(each)
    with editing(STORE, limit) as (editor, kept):
        for steps, way in ORDER:
            for box, pairs in drawn:
                own = [pair for pair in pairs if (pair.name, steps, way) not in kept.done]
                if not own or kept.is_over:
                    continue
                jobs = [Job(pair.source, pair.prompt, seed=pair.seed) for pair in own]
                mask = ",".join(map(str, box))
                result = edit_batch(editor, jobs, steps=steps, edit_mask=mask, compute=WAYS[way])
                area = {"area": box[2] * box[3] / SIZE**2}
                kept.add(
                    {"cell": (pair.name, steps, way), **area, **figures_of(image, pair, box)}
                    for pair, image in zip(own, result.images, strict=True)
                )


def table() -> dict[str, Any]:
    """Return the figures of what was measured, by steps and way."""
    rows = by_cell(STORE)
    found: dict[str, Any] = {}
    for steps, way in itertools.product((4, 8, 16, 28), WAYS):
        both = [
            (row, rows[(*cell[:2], "all")])
            for cell, row in rows.items()
            if cell[1:] == (steps, way) and (*cell[:2], "all") in rows
        ]
        if both:
            named = compared(both, MEASURES, "all")
            found[f"{steps} steps, {way}"] = {
                "edits": len(both), **named, "worst": _worst(both)
            }  # fmt: skip
    area = [row["area"] for cell, row in rows.items() if cell[1:] == (8, "all")]
    return {"area": float(np.mean(area)), "cells": found, "by_kind": _by_kind(rows)}


def _worst(paired: Sequence[Any]) -> list[Any]:
    """The three edits that lose most."""
    lost = sorted(paired, key=lambda both: both[0]["done"] - both[1]["done"])[:3]
    return [[own["cell"][0], own["done"], whole["done"]] for own, whole in lost]


def _by_kind(rows: dict[Any, Any]) -> dict[str, float]:
    found = {}
    for kind in KINDS:
        own = [cell for cell in rows if cell[0].startswith(kind) and cell[2] == "inside"]
        leads = [
            rows[cell]["done"] - rows[(*cell[:2], "all")]["done"]
            for cell in own
            if (*cell[:2], "all") in rows
        ]
        found[kind] = float(np.mean(leads)) if leads else float("nan")
    return found


main = command(run, table, FIGURES, MEASURES, scenes=44)

if __name__ == "__main__":
    main()
