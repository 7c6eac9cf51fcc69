"""A shift as a value, and whether it can be measured here."""

from __future__ import annotations

import importlib.util

import attrs

from refhooks.errors import InputError

__all__ = ["NOTICED", "Shift", "can_measure", "check_measure"]

NOTICED = 0.5  # pixels: from here it is seen, when one looks from one picture to the other


@attrs.frozen
class Shift:
    """How a picture lies over the one it was made from.

    Attributes:
        x: How far its middle lies to the right, in pixels of the source; ``None``: this cannot be
            measured.
        y: Likewise, below.
        scale: How large what it shows is: above 1, it is zoomed in; ``None`` likewise.
        confidence: Share of the source's structure that is found again in its place once the
            picture is moved back, 0–1.
        error: Standard error of where a corner lies, pixels of the source; ``None`` likewise.
        most: How far the corner lies beside its place that lies farthest; ``None`` likewise.
        grain: Side of a pixel of the picture, in pixels of the source.
        reason: Why it cannot be measured; empty: it can.
    """

    x: float | None
    y: float | None
    scale: float | None
    confidence: float
    error: float | None = None
    most: float | None = None
    grain: float = 1.0
    reason: str = ""

    @property
    def measured(self) -> bool:
        """Whether it can be measured."""
        return not self.reason

    @property
    def noticed(self) -> bool:
        """Whether some of the picture lies more than half a pixel beside its place.

        A pixel of the source, or of the picture where that has fewer.
        """
        return self.most is not None and self.most > NOTICED * max(1.0, self.grain)

    def __str__(self) -> str:
        """Return it in one line."""
        found = f"{100 * self.confidence:.0f} % of the source's structure found again"
        if self.x is None or self.y is None:
            return f"shift: cannot be measured: {self.reason} ({found})"
        return (
            f"shift: {abs(self.x):.2f} px {'right' if self.x >= 0 else 'left'},"
            f" {abs(self.y):.2f} px {'down' if self.y >= 0 else 'up'}, scale {self.scale:.4f}:"
            f" at most {self.most:.2f} px, give or take {self.error:.2f} px ({found})"
        )


def can_measure() -> bool:
    """Return whether scikit-image is installed."""
    return importlib.util.find_spec("skimage") is not None


def check_measure() -> None:
    """Refuse to measure without scikit-image.

    Raises:
        InputError: It is not installed.
    """
    if not can_measure():
        raise InputError(
            "a shift is measured with scikit-image, which is not installed: pip install"
            " 'refhooks[measure]'"
        )
