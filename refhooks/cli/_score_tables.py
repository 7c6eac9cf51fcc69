"""What ``refhooks score`` prints of a scorecard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from refhooks._base.names import listed
from refhooks.cli._terminal import say, tell
from refhooks.errors import printable
from refhooks.score._perceived import PERCEIVED, perceived
from refhooks.score._plots import front, tradeoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks.score import Interval, Score, Scorecard

MEANINGS: Final = {
    "done": "edit done in the region that should change, 1 is the right answer",
    "kept": "kept outside of it: 1 all, 0 as much as without a reference",
    "edges": "F1 of the edges with the right answer's, for edits of the whole picture",
    "copied": "closeness to the unedited source in the region that should change",
    "attention": "share of the attention that the source gets",
    "done_ciede2000": "edit done by CIEDE2000 in place of RMSE",
    "done_ssim": "edit done by SSIM",
    "kept_ciede2000": "kept by CIEDE2000 in place of RMSE",
    "kept_ssim": "mean SSIM with the source outside of the region, 1 is equal",
}
CEILING: Final = "the autoencoder alone"


def print_card(card: Scorecard) -> None:
    """Print one line a cell, over the pooled kinds: by RMSE, then as an eye sees it."""
    by_eye = [name for name in card.measures if name in PERCEIVED]
    others = [name for name in card.measures if name not in PERCEIVED]
    for names in filter(None, (others, by_eye)):
        _console().print(_table(card, names))
        tell("")
    if not perceived():
        say("note", "not measured by CIEDE2000 and SSIM, which need scikit-image; pip install"
            " 'refhooks[measure]'", "cyan")  # fmt: skip
    tell(f"means over the scenes of {listed(card.pooled)}, with 95 % bootstrap intervals;")
    tell("* the best front: no other cell has more of both, on scenes where something is kept")
    if card.ceiling:
        tell(f"{CEILING}: the sources encoded and decoded, without an edit")
    for name in card.measures:
        if name in MEANINGS:
            tell(f"{name}: {MEANINGS[name]}")


def _table(card: Scorecard, measures: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("cell", no_wrap=True)
    for name in measures:
        table.add_column(name, no_wrap=True)
    best = {cell.name for cell, _, _ in front(tradeoff(card))}
    for cell in card.cells:
        name = printable(f"{cell.name}{_only(card, cell)}{' *' if cell.name in best else ''}")
        table.add_row(Text(name), *[_figure(card.interval(cell.name, it)) for it in measures])
    if any(it in card.ceiling for it in measures):
        table.add_row(Text(CEILING), *[_figure(card.most(it)) for it in measures], style="dim")
    return table


def _figure(estimate: Interval | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate.mean:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=4096)


def _only(card: Scorecard, cell: Score) -> str:
    """The kinds that a cell was run on, where it was not run on all."""
    kinds = [
        kind
        for kind in card.pooled
        if any(not np.isnan(card.values(cell.name, name, kind)).all() for name in card.measures)
    ]
    return f" ({listed(kinds)} only)" if 0 < len(kinds) < len(card.pooled) else ""
