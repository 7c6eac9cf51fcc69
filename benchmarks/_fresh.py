"""Held-out edits that nothing was chosen on, and differences between two ways to make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import refhooks as rh
from refhooks.score import Cell, Pair, Scorecard, Settings, interval, run_cells
from refhooks_toy import EDIT_KINDS, HELD_OUT, TWO_PICTURES, WHOLE_PICTURE, make_pairs
from refhooks_toy._held_out import faster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from refhooks.score import Progress, Shot

    Measure = Callable[[Shot], float | None]

WHOLE = tuple(kind for kind in EDIT_KINDS if kind in WHOLE_PICTURE)
LOCAL = tuple(kind for kind in EDIT_KINDS if kind not in WHOLE_PICTURE and kind != TWO_PICTURES)
DONE = ("done", "done_ciede2000", "done_ssim")
KEPT = ("kept", "kept_ciede2000", "kept_ssim")


def pairs_of(first: int, local: int, whole: int = 0) -> list[Pair]:
    """Draw ``local`` edits of each kind that has an outside, ``whole`` of each other kind.

    Scenes and seeds of the noise begin at ``first`` of the held-out ones. Taken are: 0 by the
    scorecard, 100,000 and 200,000 by ``search.py``, 300,000 by ``local_quality.py``; a figure that
    should confirm something takes others.
    """
    found = []
    for kind, count in [*((it, local) for it in LOCAL), *((it, whole) for it in WHOLE)]:
        drawn = make_pairs(kind, range(HELD_OUT + first, HELD_OUT + first + count)) if count else ()
        found += [
            Pair(
                Image.fromarray(drawn.source[place]), edit.prompt, kind=kind, seed=first + place,
                right=Image.fromarray(drawn.right[place]), mask=drawn.mask[place],
                name=f"{kind} {first + place}",
            )
            for place, edit in enumerate(drawn.edits if drawn else ())
        ]  # fmt: skip
    return found


def _exact(pipe: Any) -> AbstractContextManager[None]:
    return faster(pipe, half=False)


def run(
    pairs: Sequence[Pair],
    cells: Sequence[Cell],
    store: Path,
    *,
    measures: Mapping[str, Measure] | None = None,
    batch: int = 25,
) -> Scorecard:
    """Run the cells in float32; what the store holds is not run again."""
    editor = rh.Editor.from_pretrained("toy")
    editor.pipe.set_progress_bar_config(disable=True)
    return run_cells(
        editor, pairs, cells, Settings(batch=batch), store=store, context=_exact, progress=_told,
        measures=measures,
    )  # fmt: skip


def _told(it: Progress) -> None:
    print(f"{it.done / it.total:4.0%}  {it.cell:.90}", flush=True)


def difference(
    card: Scorecard, cell: str, base: str, measure: str, kinds: Sequence[str]
) -> list[float] | None:
    """Return mean, low and high of the paired difference, and of how many edits; 95 %.

    ``None``: the measure is not defined on these kinds.
    """
    lead = card.values(cell, measure, kinds) - card.values(base, measure, kinds)
    lead = lead[~np.isnan(lead)]
    if not len(lead):
        return None
    it = interval(lead)
    return [*(round(float(value), 5) for value in (it.mean, it.low, it.high)), len(lead)]
