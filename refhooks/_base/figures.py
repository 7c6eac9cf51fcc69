"""Figures: matplotlib is an extra, and files are written whole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from refhooks._base.files import as_path, write_whole
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DOTS = 120  # an inch


def new_figure(width: float, height: float) -> Any:
    """Return an empty figure of a size in inches.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra
    except ImportError as error:
        raise InputError(
            'a plot needs matplotlib; install it with: pip install "refhooks[plot]"'
        ) from error
    return Figure(figsize=(width, height), dpi=DOTS, layout="constrained")


def as_png(figure: Any) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def check_plot(path: str | Path) -> Path:
    """Return a path that a plot can be written at.

    Raises:
        InputError: It does not end in .png.
    """
    place = as_path(path)
    if place.suffix.lower() != ".png":
        raise InputError(f"{place}: a plot is written as .png")
    return place


def write_plot(draw: Callable[[], Any], path: str | Path) -> Path:
    """Draw a figure and write it beside its place, then rename it.

    Raises:
        InputError: matplotlib is not installed, or the file cannot be written.
    """
    place = check_plot(path)
    write_whole(as_png(draw()), place)
    return place


# Okabe and Ito's colours, which most colour-blind readers tell apart; red is left for the band.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#7F5539", "#999933", "#555555")


TICKS = 16


def ticks(total: int) -> list[int]:
    """Return the first step, and multiples of a round number."""
    every = next(it for it in (1, 2, 5, 10, 20, 50, 100) if total / it <= TICKS)
    return [1, *range(every, total + 1, every)] if every > 1 else list(range(1, total + 1))
