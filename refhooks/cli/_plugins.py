"""``refhooks plugins``: what is installed, and why something is not live."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from refhooks._core.plugins.loading import load_registry
from refhooks.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refhooks._core.plugins.registry import PluginRecord

STYLES = {"live": "green", "blocked": "yellow", "broken": "red"}
UNWRAPPED = 4096  # where the output goes to a file or a pipe, a line is a plugin


def list_plugins(*, as_json: bool) -> None:
    """Print every installed plugin, as a table or as JSON."""
    records = load_registry().records
    if as_json:
        click.echo(json.dumps([attrs.asdict(record) for record in records], indent=2))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=UNWRAPPED)
    console.print(_table(records))


def _table(records: Sequence[PluginRecord]) -> Table:
    reasons = any(record.reason for record in records)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("name", "distribution", "version", "state", "registers", *["reason"] * reasons):
        table.add_column(head)
    for record in records:
        cells = [
            Text(printable(record.name)),
            Text(printable(record.distribution)),
            Text(printable(record.version)),
            Text(record.state, style=STYLES[record.state]),
            Text(printable(", ".join(record.registers))),
            *[Text(printable(record.reason))] * reasons,
        ]
        table.add_row(*cells)
    return table
