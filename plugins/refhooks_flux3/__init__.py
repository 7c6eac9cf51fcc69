"""Adapter to FLUX.3, klein among it: diffusers has it as modular blocks alone."""

from __future__ import annotations

from typing import Any

from refhooks import Family, FamilyEntry, hookimpl
from refhooks_flux3._shape import shape

__all__: list[str] = []


def _adapter() -> type[Family]:
    from refhooks_flux3._family import Flux3  # noqa: PLC0415  imports diffusers

    return Flux3


def _small() -> Any:
    from refhooks_flux3._tiny import tiny_modular  # noqa: PLC0415  imports diffusers

    return tiny_modular()


@hookimpl
def refhooks_families() -> list[FamilyEntry]:
    """Register the family."""
    modular = ("Flux3ModularPipeline", "Flux3DistilledModularPipeline")
    own = "refhooks_flux3._pipeline:Flux3Pipeline"
    return [
        FamilyEntry(
            "flux3", (), _adapter, shape, _small, modular=dict.fromkeys(modular, own)
        )
    ]  # fmt: skip
