"""Starting points by name: some that a search found, and published advice with what it measured.

Each preset is a file in the folder ``presets``, in the form of presets of one's own. The numbers
are the middles of recommended ranges, which stand beside them. Files whose names end in ``-tuned``
are written by ``benchmarks/search.py``: what beats the plain model on a kind of edit.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from refhooks import hookimpl

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).parent / "presets"


@hookimpl
def refhooks_presets() -> Sequence[Path]:
    """Register the presets."""
    return sorted(FOLDER.glob("*.toml"))
