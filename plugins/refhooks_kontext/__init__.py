"""Adapter to FLUX.1 Kontext."""

from __future__ import annotations

from typing import Any

from refhooks import Family, FamilyEntry, hookimpl
from refhooks_kontext._shape import shape

__all__: list[str] = []


def _load() -> type[Family]:
    from refhooks_kontext._family import FluxKontext  # noqa: PLC0415  imports diffusers

    return FluxKontext


def _make_tiny() -> Any:
    from refhooks_kontext._tiny import tiny_pipeline  # noqa: PLC0415  imports diffusers

    return tiny_pipeline()


@hookimpl
def refhooks_families() -> list[FamilyEntry]:
    """Register the family."""
    return [
        FamilyEntry(
            "flux-kontext", ("FluxKontextPipeline",), _load, shape, _make_tiny,
            modular={"FluxKontextModularPipeline": "refhooks_kontext._modular:kontext"},
        )
    ]  # fmt: skip
