"""Adapters to FLUX.2: klein, klein with kept keys and values, and dev."""

from __future__ import annotations

from typing import Any

from refhooks import Family, FamilyEntry, hookimpl
from refhooks_flux2._shape import dev_shape, klein_shape, kv_shape

__all__: list[str] = []


def _klein() -> type[Family]:
    from refhooks_flux2._family import Flux2Klein  # noqa: PLC0415  imports diffusers

    return Flux2Klein


def _klein_kv() -> type[Family]:
    from refhooks_flux2._family import Flux2KleinKV  # noqa: PLC0415  imports diffusers

    return Flux2KleinKV


def _dev() -> type[Family]:
    from refhooks_flux2._family import Flux2Dev  # noqa: PLC0415  imports diffusers

    return Flux2Dev


def _tiny_klein() -> Any:
    from refhooks_flux2._tiny import tiny_klein  # noqa: PLC0415  imports diffusers

    return tiny_klein()


def _tiny_kv() -> Any:
    from refhooks_flux2._tiny import tiny_kv  # noqa: PLC0415  imports diffusers

    return tiny_kv()


def _tiny_dev() -> Any:
    from refhooks_flux2._tiny import tiny_dev  # noqa: PLC0415  imports diffusers

    return tiny_dev()


@hookimpl
def refhooks_families() -> list[FamilyEntry]:
    """Register the three families."""
    return [
        FamilyEntry(
            "flux2-klein", ("Flux2KleinPipeline",), _klein, klein_shape, _tiny_klein,
            modular=dict.fromkeys(
                ("Flux2KleinModularPipeline", "Flux2KleinBaseModularPipeline"),
                "diffusers:Flux2KleinPipeline",
            ),
        ),
        FamilyEntry("flux2-klein-kv", ("Flux2KleinKVPipeline",), _klein_kv, kv_shape, _tiny_kv),
        FamilyEntry(
            "flux2-dev", ("Flux2Pipeline",), _dev, dev_shape, _tiny_dev,
            modular={"Flux2ModularPipeline": "refhooks_flux2._modular:dev"},
        ),
    ]  # fmt: skip
