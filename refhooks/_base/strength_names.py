"""The names of strengths."""

from __future__ import annotations

ARTIFACTS_ABOVE = 1.5
_UP_TO = ((0.35, "minimal"), (0.65, "moderate"), (0.95, "strong"))


def band(strength: float) -> str:
    """Return the name of a strength.

    The source notes (docs/evidence.md) name 0, 0.1–0.3, 0.4–0.6, 0.7–0.9, 1, 1.1–1.5 and
    1.6–2. Between two of its bands the middle divides: ``minimal`` is below 0.35, ``moderate``
    below 0.65, ``strong`` below 0.95, ``standard`` up to 1.05. Two bounds are not the middle: only
    0 is ``none``, since anything above it acts, and ``overpowering`` begins above 1.5, where the
    notes see artifacts and refhooks warns; up to there it is ``enhanced``.
    """
    if strength == 0.0:
        return "none"
    for end, name in _UP_TO:
        if strength < end:
            return name
    if strength <= 1.05:
        return "standard"
    return "enhanced" if strength <= ARTIFACTS_ABOVE else "overpowering"
