"""Batches of toyland edits, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import numpy as np

from refhooks_toy._draw import draw
from refhooks_toy._edits import WHOLE_PICTURE, Edit, make_edit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Pictures = npt.NDArray[np.uint8]

HELD_OUT: Final = 1_000_000_000
"""Seeds from here on are held out: training never uses them."""


@attrs.frozen(eq=False)
class Pairs:
    """Edits and their pictures, in one order.

    `source` and `right` (the right answers) are sRGB, uint8 `[B, H, W, 3]`; `mask` is True where a
    picture should change, bool `[B, H, W]`; `extra` holds Picture 2 for edits that have one, black
    for the others.
    """

    edits: tuple[Edit, ...]
    source: Pictures
    right: Pictures
    extra: Pictures
    mask: npt.NDArray[np.bool_]

    @property
    def prompts(self) -> list[str]:
        """The prompts, in the order of the pictures."""
        return [edit.prompt for edit in self.edits]


def make_pairs(kinds: str | Sequence[str], seeds: Sequence[int]) -> Pairs:
    """Draw the edits of `kinds` (one for all, or one a seed) and `seeds`.

    The same arguments always give the same bytes.
    """
    from refhooks.score import changed_region  # noqa: PLC0415 - it imports torch

    names = [kinds] * len(seeds) if isinstance(kinds, str) else kinds
    edits = tuple(make_edit(kind, seed) for kind, seed in zip(names, seeds, strict=True))
    source = draw([edit.source for edit in edits])
    right = draw([edit.right for edit in edits])
    extra = np.zeros_like(source)
    borrowed = [i for i, edit in enumerate(edits) if edit.extra is not None]
    if borrowed:
        extra[borrowed] = draw([scene for edit in edits if (scene := edit.extra) is not None])
    mask = changed_region(source, right)
    mask[[i for i, edit in enumerate(edits) if edit.kind in WHOLE_PICTURE]] = True
    return Pairs(edits, source, right, extra, mask)
