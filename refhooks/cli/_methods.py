"""``refhooks methods``: what each method and form is worth, by what was measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from refhooks._apps.forecast.marks import Mark, all_marks, rules, warnings_of
from refhooks._core.planning.strategy import Reference
from refhooks._core.plugins.loading import load_registry
from refhooks.cli._terminal import say, tell
from refhooks.errors import printable

if TYPE_CHECKING:
    from refhooks._core.plugins.registry import Registry

STYLES = {"ahead": "green", "cheaper": "cyan", "not shown useful": "yellow", "not measured": "dim"}
UNWRAPPED = 4096  # where the output goes to a file or a pipe, a line is a form
HEADS = ("method", "form", "status", "done at 1", "kept at 1", "a step", "measured on")


def list_methods(*, as_json: bool) -> None:
    """Print the mark of every form of every registered method, as a table or as JSON."""
    registry = load_registry()
    told = all_marks(registry)
    if as_json:
        click.echo(json.dumps([attrs.asdict(mark) for mark in told], indent=2))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNWRAPPED)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in HEADS:
        table.add_column(head)
    for mark in told:
        cells = [Text(printable(it)) for it in cells_of(mark)]
        cells[2].stylize(STYLES.get(mark.status, ""))
        table.add_row(*cells)
    console.print(table)
    said = rules(registry)
    for rule, methods in said.items():
        tell("")
        tell(rule if len(said) == 1 else f"{', '.join(methods)}: {rule}")


def say_marks(what: Any, registry: Registry) -> None:
    """Say of each form of a strategy, or of references, that it is marked not shown useful."""
    references = what if isinstance(what, list | tuple) else (Reference("", what),)
    for warning in warnings_of(references, registry):
        say("note", warning, "cyan")


def cells_of(mark: Mark) -> tuple[str, ...]:
    """Return a line of the table."""
    where = f"{', '.join(mark.families)}, {mark.steps} steps" if mark.families else "by nobody"
    where = f"{where}; {mark.note}" if mark.note else where
    figures = (mark.figure("done"), mark.figure("kept"))
    return (mark.method, mark.form, mark.status, *figures, mark.work, where)
