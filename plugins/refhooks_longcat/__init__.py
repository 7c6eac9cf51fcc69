"""Adapter to LongCat-Image-Edit."""

from __future__ import annotations

from typing import Any

from refhooks import Family, FamilyEntry, hookimpl
from refhooks_longcat._shape import shape

__all__: list[str] = []


def _load() -> type[Family]:
    from refhooks_longcat._family import LongCatEdit  # noqa: PLC0415  imports diffusers

    return LongCatEdit


def _make_tiny() -> Any:
    from refhooks_longcat._tiny import tiny_pipeline  # noqa: PLC0415  imports diffusers

    return tiny_pipeline()


@hookimpl
def refhooks_families() -> list[FamilyEntry]:
    """Register the family."""
    return [
        FamilyEntry("longcat-image-edit", ("LongCatImageEditPipeline",), _load, shape, _make_tiny)
    ]
