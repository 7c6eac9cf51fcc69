"""Scoring: many ways to edit, measured on pairs whose right answers are known.

``run_cells`` edits every :class:`Pair` in the way of every :class:`Cell` and returns a
:class:`Scorecard`; ``refhooks score`` is the command for it. The measures are defined where they
are computed: :func:`edit_done`, :func:`kept`, :func:`edges_kept` and :func:`copied`.
"""

from refhooks.score._card import Scorecard
from refhooks.score._card_parts import Scene, Score
from refhooks.score._cell import Cell, Progress, Settings
from refhooks.score._cells import read_cells, strength_cells
from refhooks.score._edit import edit_pairs, measure
from refhooks.score._manifest import read_manifest
from refhooks.score._measures import (
    Interval,
    changed_region,
    copied,
    edges_kept,
    edit_done,
    interval,
    kept,
    psnr,
    rmse,
    ssim,
)
from refhooks.score._pair import Pair, Shot
from refhooks.score._plots import draw_responses, draw_tradeoff
from refhooks.score._run import run_cells

__all__ = [
    "Cell",
    "Interval",
    "Pair",
    "Progress",
    "Scene",
    "Score",
    "Scorecard",
    "Settings",
    "Shot",
    "changed_region",
    "copied",
    "draw_responses",
    "draw_tradeoff",
    "edges_kept",
    "edit_done",
    "edit_pairs",
    "interval",
    "kept",
    "measure",
    "psnr",
    "read_cells",
    "read_manifest",
    "rmse",
    "run_cells",
    "ssim",
    "strength_cells",
]
