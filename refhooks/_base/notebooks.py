"""How values show themselves in a notebook: pictures with captions, and tables; all escaped."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from refhooks.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from PIL.Image import Image

__all__ = ["html_facts", "html_pictures", "html_table", "html_text"]

LEAST, MOST = 256, 768  # pixels of a picture's longer side on the page
MANY = 64  # pictures that are shown; a page of hundreds stops a browser


def html_text(text: object) -> str:
    """Return a text as HTML shows it: no markup of it acts, nor a control character."""
    return html.escape(printable(str(text)))


def html_table(heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """Return a table; a cell may hold anything, and is shown as text."""
    head = "".join(f"<th style='text-align:left'>{html_text(cell)}</th>" for cell in heads)
    body = "".join(
        "<tr>"
        + "".join(f"<td style='text-align:left'>{html_text(it)}</td>" for it in row)
        + "</tr>"
        for row in rows
    )
    title = f"<caption style='text-align:left'>{html_text(caption)}</caption>" if caption else ""
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    return f"<table>{title}{top}<tbody>{body}</tbody></table>"


def html_facts(facts: Mapping[str, object], caption: str = "") -> str:
    """Return a table of names and what they are; what is empty is left out."""
    rows = [(name, value) for name, value in facts.items() if value not in (None, "", ())]
    return html_table((), rows, caption)


def html_pictures(pictures: Sequence[Image], captions: Sequence[str]) -> str:
    """Return pictures side by side, each with its caption; a small one is shown larger."""
    shown = [
        _figure(picture, caption)
        for picture, caption in zip(pictures[:MANY], captions[:MANY], strict=True)
    ]
    more = len(pictures) - len(shown)
    rest = [f"<p>and {more} more</p>"] if more else []
    return "\n".join([*shown, *rest])


def _figure(picture: Image, caption: str) -> str:
    buffer = io.BytesIO()
    in_colour = picture if picture.mode in {"RGB", "RGBA", "L"} else picture.convert("RGB")
    in_colour.save(buffer, format="PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    width, height = picture.size
    factor = min(MOST / max(width, height), max(1.0, LEAST // max(width, height)))
    drawn = "pixelated" if factor > 1 else "auto"
    return (
        "<figure style='display:inline-block;margin:0 1em 1em 0;vertical-align:top'>"
        f"<img src='data:image/png;base64,{data}' width='{round(width * factor)}'"
        f" height='{round(height * factor)}' style='image-rendering:{drawn}'"
        f" alt='{html_text(caption)}'><figcaption>{html_text(caption)}</figcaption></figure>"
    )
