"""What a pipeline class is told that nothing adapts."""

from __future__ import annotations

import pytest

import refhooks as rh

NEAREST = {
    "FluxPipeline": "flux-kontext",
    "Flux2KleinInpaintPipeline": "flux2-klein",
    "QwenImageLayeredPipeline": "qwen-image-edit",
    "LongCatImagePipeline": "longcat-image-edit",
    "OmniGenPipeline": None,
    "GlmImagePipeline": None,
    "BriaFiboEditPipeline": None,
}


@pytest.mark.parametrize("name", NEAREST)
def test_the_nearest_family_is_named(name):
    """By the words that the names of the classes begin with; and how an adapter is begun."""
    said = rh.load_registry().no_family(name)

    near = NEAREST[name]
    assert said.startswith("no plugin has an adapter for it. Supported: Flux2Klein")
    assert ("The nearest is the family" in said) == (near is not None)
    assert near is None or f"the family {near!r} (" in said
    assert "`refhooks new NAME --kind family` writes an adapter" in said


@pytest.mark.parametrize("name", [3, None, "os.system", "Identity", ["Pipeline"], "F" * 10**6])
def test_what_is_no_pipeline_is_near_to_none(name):
    """Nor is an adapter of any use to it."""
    said = rh.load_registry().no_family(name)

    assert "nearest" not in said
    assert "refhooks new" not in said
