"""Adapter to Qwen-Image 2.1, also in its turbo form: ``QwenImage21Pipeline``."""

from __future__ import annotations

from typing import Any

from refhooks import Family, FamilyEntry, hookimpl
from refhooks_qwen21._shape import shape

__all__: list[str] = []


def _adapter() -> type[Family]:
    from refhooks_qwen21._family import QwenImage21  # noqa: PLC0415  imports diffusers

    return QwenImage21


def _pipeline() -> Any:
    from refhooks_qwen21._tiny import tiny_pipeline  # noqa: PLC0415  imports diffusers

    return tiny_pipeline()


@hookimpl
def refhooks_families() -> list[FamilyEntry]:
    """Register the family."""
    modular = ("QwenImage21ModularPipeline", "QwenImage21TurboModularPipeline")
    return [
        FamilyEntry(
            "qwen-image-21", ("QwenImage21Pipeline",), _adapter, shape, _pipeline,
            modular=dict.fromkeys(modular, "diffusers:QwenImage21Pipeline"),
        )
    ]  # fmt: skip
