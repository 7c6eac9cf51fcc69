"""What results of edits have in common."""

from __future__ import annotations

import torch


def same(first, second):
    """Return whether two results are equal to the bit."""
    return torch.equal(first.latents, second.latents) and (
        first.image.tobytes() == second.image.tobytes()
    )
