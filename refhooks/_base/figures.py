"""Figures: matplotlib is an extra, and files are written whole."""

from __future__ import annotations

import colorsys
import io
from typing import TYPE_CHECKING, Any

from refhooks._base.files import as_path, write_whole
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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
GOLDEN = 0.618034  # of the circle of hues: what follows lies far from what came before
HANDLE, LETTER = 0.55, 0.075  # inches that an entry of a legend takes, and each of its letters
PLACES = ((-7, 6), (-7, 16), (-7, -12), (7, 6), (7, -12), (-7, 26), (7, 16), (-7, -22), (7, 26))


def colours_of(names: Iterable[str], registered: Iterable[str]) -> dict[str, str]:
    """Return a colour a name, no two alike.

    Args:
        names: What is drawn.
        registered: Names that have the same colour in every plot, by their order; other names get
            those that follow.
    """
    drawn, known = list(dict.fromkeys(names)), list(registered)
    everyone = [*known, *(name for name in drawn if name not in known)]
    return {name: _colour(everyone.index(name)) for name in drawn}


def _colour(place: int) -> str:
    if place < len(COLOURS):
        return COLOURS[place]
    number = place - len(COLOURS)
    light = (0.85, 0.6, 0.4)[number % 3]
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1.0, 0.75, light)
    return f"#{round(red * 255):02X}{round(green * 255):02X}{round(blue * 255):02X}"


def legend_columns(names: Iterable[str], width: float) -> int:
    """Return in how many columns a legend fits a figure that is so many inches wide."""
    lengths = [len(name) for name in names]
    return max(1, min(len(lengths), 6, int(width / (HANDLE + LETTER * max(lengths)))))


def place_labels(panel: Any, labels: Iterable[tuple[float, float, str]]) -> None:
    """Write a text beside each point ``(x, y, text)``, where it covers no other text.

    A label for which there is no such place is left out: two on top of each other say nothing.
    """
    panel.figure.draw_without_rendering()  # then everything has its place
    taken: list[Any] = []
    for x, y, text in labels:
        for right, up in PLACES:
            label = panel.annotate(
                text, (x, y), xytext=(right, up), textcoords="offset points",
                ha="right" if right < 0 else "left", fontsize="x-small",
            )  # fmt: skip
            label.set_in_layout(False)  # else the figure would be fitted anew around it
            box = label.get_window_extent()
            inside = panel.bbox.x0 <= box.x0 and box.x1 <= panel.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()


TICKS = 16


def ticks(total: int) -> list[int]:
    """Return the first step, and multiples of a round number."""
    every = next(it for it in (1, 2, 5, 10, 20, 50, 100) if total / it <= TICKS)
    return [1, *range(every, total + 1, every)] if every > 1 else list(range(1, total + 1))
