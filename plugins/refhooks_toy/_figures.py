"""The report's figures: what was measured, the bars it must reach, and both as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs
import cattrs
import numpy as np

from refhooks.score import Interval, interval
from refhooks_toy._edits import EDIT_KINDS, TWO_PICTURES, WHOLE_PICTURE
from refhooks_toy._survey import Result, Settings, is_local

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MEAN: Final = "mean of the eight"
DONE, DONE_MEAN, DONE_TWO, KEPT_MEAN, PSNR, SSIM = 0.6, 0.8, 0.5, 0.85, 36.0, 0.98
"""The bars: edit done for each kind, in their mean and with two pictures; kept; autoencoder."""


@attrs.frozen
class Row:
    """One kind of edit: how much of it is done, and what is kept, outside it or of the edges."""

    kind: str
    done: Interval
    kept: Interval | None = None
    edges: Interval | None = None

    def cells(self) -> list[str]:
        """Return what a table shows."""
        values = (self.done, self.kept, self.edges)
        return [self.kind, *["–" if value is None else str(value) for value in values]]


@attrs.frozen
class Bar:
    """What a figure must reach."""

    name: str
    wanted: float
    got: Interval

    @property
    def met(self) -> bool:
        """Whether the mean reaches it."""
        return self.got.mean >= self.wanted

    def cells(self) -> list[str]:
        """Return what a table shows."""
        digits = ".1f" if self.wanted > 1 else ".3f"
        reached = f"{self.got.mean:{digits}} [{self.got.low:{digits}}, {self.got.high:{digits}}]"
        return [self.name, f"{self.wanted:g}", reached, "met" if self.met else "missed"]


@attrs.frozen
class Figures:
    """Everything that the report measures; `seconds` is how long it took on so many `threads`."""

    settings: Settings
    psnr: Interval
    ssim: Interval
    rows: list[Row]
    mean: Row
    seconds: float
    threads: int

    @property
    def bars(self) -> list[Bar]:
        """The bars, in the order of the rows."""
        done = [
            Bar(f"edit done, {row.kind}", DONE_TWO if row.kind == TWO_PICTURES else DONE, row.done)
            for row in self.rows
        ]
        assert self.mean.kept is not None  # noqa: S101  six of the eight kinds are local
        return [
            *done,
            Bar(f"edit done, {MEAN}", DONE_MEAN, self.mean.done),
            Bar(f"kept outside, {MEAN}", KEPT_MEAN, self.mean.kept),
            Bar("autoencoder, PSNR in dB", PSNR, self.psnr),
            Bar("autoencoder, SSIM", SSIM, self.ssim),
        ]

    def save(self, path: Path) -> None:
        """Write them as JSON, with the bars for those who only read it."""
        bars = [{**attrs.asdict(bar), "met": bar.met} for bar in self.bars]
        table = {**attrs.asdict(self), "bars": bars}
        path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Figures:
        """Read what `save` wrote."""
        return cattrs.structure(json.loads(path.read_text(encoding="utf-8")), cls)


def row_of(result: Result) -> Row:
    """Return the figures of one kind."""
    done, kept = interval(result.done), interval(result.kept)
    if result.kind in WHOLE_PICTURE:
        return Row(result.kind, done, edges=kept)
    return Row(result.kind, done, kept=kept)


def mean_of(results: Sequence[Result]) -> Row:
    """Return those of the eight kinds together."""
    done = [result.done for result in results if result.kind != TWO_PICTURES]
    kept = [result.kept for result in results if is_local(result.kind)]
    return Row(MEAN, interval(np.concatenate(done)), kept=interval(np.concatenate(kept)))


WIDTHS: Final = (max(map(len, (*EDIT_KINDS, MEAN))), 22, 22, 22)
BAR_WIDTHS: Final = (32, 6, 22, 6)


def line(cells: Sequence[str], widths: Sequence[int] = WIDTHS) -> str:
    """Return one line of a table for a terminal."""
    pairs = zip(cells, widths, strict=True)
    return "  ".join(f"{cell:{width}}" for cell, width in pairs).rstrip()
