"""A finished edit as pictures to look at: beside its source, and as one HTML file."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from PIL import Image

from refhooks._apps.advice.advice import percent
from refhooks._apps.advice.plots import draw_attention, draw_drift
from refhooks._base.contact_sheets import make_sheet
from refhooks._base.figures import as_png
from refhooks._base.files import as_path, is_folder, write_whole
from refhooks._base.measures import difference
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from refhooks._apps.advice.advice import Advice, Issue
    from refhooks._core.contract.drift import Drift
    from refhooks._core.planning.timetable import Timetable

SHOWN = 768  # pixels: the longer side of a picture in the report
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #202020; background: #fff; }
figure { margin: 0; flex: 1 1 16rem; } figcaption { color: #555; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
img { width: 100%; image-rendering: auto; } img.small { image-rendering: pixelated; }
img.plot { max-width: 60rem; }
section.issue { border-left: 4px solid #D55E00; padding: 0 1rem; margin: 1rem 0;
  background: #fdf3ec; }
.fine { border-left: 4px solid #009E73; padding: .1rem 1rem; background: #eef8f4; }
dt { font-weight: 600; } dd { margin: 0 0 .4rem 1rem; }
"""


def difference_picture(source: Image.Image, result: Image.Image) -> Image.Image:
    """Return how much each pixel changed: black not at all, over red and yellow to white."""
    change = difference(source, result).numpy()[..., None] * 3.0  # [height,width,1]
    colours = np.clip(change - np.array([0.0, 1.0, 2.0], dtype=np.float32), 0.0, 1.0)
    return Image.fromarray((colours * 255).round().astype(np.uint8))


def compare_pictures(
    source: Image.Image, result: Image.Image, caption: str = "result"
) -> Image.Image:
    """Return source, result and their difference side by side."""
    pictures = [source, result, difference_picture(source, result)]
    captions = ["source", caption, "difference: black is none, white is all of it"]
    return make_sheet(pictures, captions)


@attrs.frozen(kw_only=True, eq=False)
class Report:
    """What an HTML report shows.

    Attributes:
        title: Such as the name of the picture.
        facts: Lines on how it was made.
        source: Of the result's size.
        result: The picture.
        advice: On it.
        timetable: ``None`` where only the pictures are known.
        attention_share: ``None`` unless it was recorded.
        drift: Of reused keys and values; empty where none were stored anew, or only the pictures
            are known.
    """

    title: str
    facts: Sequence[str]
    source: Image.Image
    result: Image.Image
    advice: Advice
    timetable: Timetable | None = None
    attention_share: Tensor | None = None
    drift: Sequence[Drift] = ()

    def html(self) -> str:
        """Return one file that needs no other: pictures and plots are in it."""
        title = html.escape(self.title)
        parts = [
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>',
            f"<style>{STYLE}</style><h1>{title}</h1>",
            *(f"<p>{html.escape(fact)}</p>" for fact in self.facts),
            self._pictures(),
            "<h2>Advice</h2>",
            *(_issue(issue) for issue in self.advice.issues),
            *([] if self.advice.issues else [_FINE]),
            *(f"<p>{html.escape(text)}</p>" for text in self.advice.unjudged),
            "<h2>Measured</h2><ul>",
            *(f"<li>{html.escape(line)}</li>" for line in self.advice.lines()),
            "</ul>",
            *self._plots(),
            "</html>\n",
        ]
        return "\n".join(parts)

    def _pictures(self) -> str:
        changed = f"difference: {percent(self.advice.measured.changed)} of the pixels changed"
        shown = [
            (self.source, "source"),
            (self.result, "result"),
            (difference_picture(self.source, self.result), changed),
        ]
        return f'<div class="pictures">{"".join(_figure(*entry) for entry in shown)}</div>'

    def _plots(self) -> list[str]:
        parts: list[str] = []
        timetable, share = self.timetable, self.attention_share
        if timetable is not None:
            parts += _plot("Strength over the steps", timetable.figure)
        if share is not None and share.shape[2] > 1:
            parts += _plot("Attention share", lambda: draw_attention(share))
        if self.drift:
            parts += _plot("Drift of what was reused", lambda: draw_drift(self.drift))
        return parts


def write_report(report: Report, path: str | Path) -> Path:
    """Write a report beside its place, then rename it.

    Raises:
        InputError: The path does not end in .html, or cannot be written.
    """
    place = check_report(path)
    write_whole(report.html().encode(), place)
    return place


def check_report(path: str | Path) -> Path:
    """Return a path that a report can be written at.

    Raises:
        InputError: It does not end in .html, or there is no such folder.
    """
    place = as_path(path)
    if place.suffix.lower() != ".html":
        raise InputError(f"{place}: a report is written as .html")
    if not is_folder(place.parent):
        raise InputError(f"{place}: there is no folder {place.parent}; make it first")
    return place


_FINE = '<p class="fine">No common problem was found.</p>'


def _issue(issue: Issue) -> str:
    lists = {"measured": issue.evidence, "likely cause": issue.causes, "try": issue.suggestions}
    told = "".join(
        f"<dt>{name}</dt>" + "".join(f"<dd>{html.escape(text)}</dd>" for text in texts)
        for name, texts in lists.items()
    )
    heading = f"<h3>{html.escape(issue.problem)}</h3>"
    return f'<section class="issue">{heading}<dl>{told}</dl></section>'


def _figure(picture: Image.Image, caption: str) -> str:
    small = ' class="small"' if max(picture.size) <= SHOWN // 2 else ""
    shown = picture.convert("RGB")
    shown.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    shown.save(file, format="PNG")
    text = html.escape(caption)
    image = f'<img{small} alt="{text}" src="{_embedded(file.getvalue())}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _plot(title: str, draw: Callable[[], Any]) -> list[str]:
    """A report without plots is better than none."""
    try:
        drawn = f'<img class="plot" alt="{title}" src="{_embedded(as_png(draw()))}">'
    except InputError as error:
        drawn = f"<p>{html.escape(str(error))}</p>"
    return [f"<h2>{title}</h2>", drawn]


def _embedded(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
