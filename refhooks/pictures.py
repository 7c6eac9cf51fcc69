"""Pictures from files and hands that are not trusted, for plugins that read some."""

from __future__ import annotations

from refhooks._base.pictures import fit_picture, load_alpha, load_mask, load_picture

__all__ = ["fit_picture", "load_alpha", "load_mask", "load_picture"]
