"""Pictures from files and hands that are not trusted, and shifts, for plugins that need them."""

from __future__ import annotations

from refhooks._base.canvas import Cut, Filled, cut_size
from refhooks._base.picture_texts import load_texts
from refhooks._base.pictures import as_pil as to_pictures
from refhooks._base.pictures import fit_picture, load_alpha, load_mask, load_picture
from refhooks._base.shift import check_measure
from refhooks._base.shifts import measure_shift, moved_back

__all__ = [
    "Cut", "Filled", "check_measure", "cut_size", "fit_picture", "load_alpha", "load_mask",
    "load_picture", "load_texts", "measure_shift", "moved_back", "to_pictures",
]  # fmt: skip
