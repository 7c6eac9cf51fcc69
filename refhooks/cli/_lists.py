"""Lists of named things, as readable in a terminal of 80 columns as in a pipe."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

import attrs
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from refhooks.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "
INDENT = "    "
COLUMNS = 80  # where nothing says how wide the output is
NARROWEST = 40


@attrs.frozen
class Entry:
    """A line of cells, and what is said below it.

    Attributes:
        cells: Under the heads of the list, in their order.
        details: A heading, which may be empty, and a text each; a text is wrapped.
        style: Of the last cell.
    """

    cells: tuple[str, ...]
    details: tuple[tuple[str, str], ...] = ()
    style: str = ""


def print_list(heads: Sequence[str], entries: Sequence[Entry]) -> None:
    """Print entries under their heads, of which there may be none.

    A cell is never wrapped, so that each entry has one line to be found by; its details are, at the
    width of the terminal, and at that of ``COLUMNS`` or at 80 where the output goes elsewhere.
    """
    cells_of = [tuple(map(printable, entry.cells)) for entry in entries]
    rows = [tuple(heads), *cells_of] if heads else cells_of
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    console = Console(highlight=False, soft_wrap=True)
    if heads:
        console.print(_line(rows[0], widths, head=True))
    for cells, entry in zip(cells_of, entries, strict=True):
        console.print(_line(cells, widths, entry.style))
        longest = max((len(heading) for heading, _ in entry.details), default=0)
        for heading, text in entry.details:
            for line in _wrapped(heading.ljust(longest), printable(text)):
                console.print(Text(line))


def _line(
    cells: Sequence[str], widths: Sequence[int], last: str = "", *, head: bool = False
) -> Text:
    padded = [
        cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)
    ]
    line = Text(GAP.join(padded).rstrip(), style="bold" if head else "")
    if last:
        line.stylize(last, len(line) - len(cells[-1]))
    return line


def _wrapped(heading: str, text: str) -> list[str]:
    start = INDENT + (heading + GAP if heading else "")
    columns = max(shutil.get_terminal_size((COLUMNS, 24)).columns, NARROWEST)
    return textwrap.wrap(
        text,
        columns,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
