"""What a mask has to do with a problem; it is looked at before the method is blamed."""

from __future__ import annotations

from typing import Literal

__all__ = ["Limit", "mask_causes"]

Limit = Literal["edit", "region"]
"""What confined an edit: an edit mask, or the region masks of its references."""
SMALL = 0.1  # share of the picture below which a mask is likely to miss a part of what is meant


def mask_causes(
    limit: Limit | None, covered: float, *, lost: bool = False
) -> tuple[list[str], list[str]]:
    """Return the likely causes that lie in the masks, and what to try.

    Args:
        limit: ``None``: there are no masks, or they cover everything.
        covered: Share of the picture that they cover, 0–1.
        lost: Whether the structure is lost; else little or nothing changed.
    """
    share = f"{covered:.0%} of the picture"
    if limit == "region" and lost:
        return (
            [f"the model is given the reference in {share} only: elsewhere nothing holds it"],
            ["an edit mask in place of the region mask: it keeps what is outside"],
        )
    if limit == "edit" and not lost:
        small = ", which is little," if covered < SMALL else ""
        cause = f"the edit mask lets {share} change{small} and may miss what the prompt speaks of"
        return (
            [cause],
            ["a mask that covers all of what is to change, and some room around it"],
        )
    return [], []
