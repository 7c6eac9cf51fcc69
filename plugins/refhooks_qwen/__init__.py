"""Adapters to Qwen-Image-Edit: ``QwenImageEditPipeline`` and ``QwenImageEditPlusPipeline``."""

from __future__ import annotations

from refhooks import Family, FamilyEntry, hookimpl
from refhooks_qwen._shape import shape

__all__: list[str] = []


def _edit() -> type[Family]:
    from refhooks_qwen._family import QwenImageEdit  # noqa: PLC0415  imports diffusers

    return QwenImageEdit


def _edit_plus() -> type[Family]:
    from refhooks_qwen._family import QwenImageEditPlus  # noqa: PLC0415  imports diffusers

    return QwenImageEditPlus


@hookimpl
def refhooks_families() -> list[FamilyEntry]:
    """Register the two families."""
    modular = {"QwenImageEditModularPipeline": "diffusers:QwenImageEditPipeline"}
    modular_plus = {"QwenImageEditPlusModularPipeline": "diffusers:QwenImageEditPlusPipeline"}
    return [
        FamilyEntry(
            "qwen-image-edit", ("QwenImageEditPipeline",), _edit, shape, usual=True,
            modular=modular,
        ),
        FamilyEntry(
            "qwen-image-edit-plus", ("QwenImageEditPlusPipeline",), _edit_plus, shape,
            modular=modular_plus,
        ),
    ]  # fmt: skip
