"""What results of edits have in common."""

from __future__ import annotations

import torch
from PIL import ImageChops


def same(first, second):
    """Return whether two results are equal to the bit."""
    return torch.equal(first.latents, second.latents) and (
        first.image.tobytes() == second.image.tobytes()
    )


def assert_equal(expected, result):
    """Compare latents and pictures of a stock pipeline with those of an edit, to the bit."""
    latents, pictures = expected
    assert torch.equal(latents, result.latents)
    assert len(pictures) == len(result.images)
    for ours, theirs in zip(result.images, pictures, strict=True):
        assert ImageChops.difference(ours, theirs).getbbox() is None
