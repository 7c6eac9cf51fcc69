"""``refhooks plugins``: what is installed, and why something is not live."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import click

from refhooks._core.plugins.loading import load_registry
from refhooks.cli._lists import Entry, print_list

if TYPE_CHECKING:
    from refhooks._core.plugins.registry import PluginRecord

STYLES = {"live": "green", "blocked": "yellow", "broken": "red"}


def list_plugins(*, as_json: bool) -> None:
    """Print every installed plugin, as a list or as JSON."""
    records = load_registry().records
    if as_json:
        click.echo(json.dumps([attrs.asdict(record) for record in records], indent=2))
        return
    heads = ("name", "distribution", "version", "state")
    print_list(heads, [_entry(record) for record in records])


def _entry(record: PluginRecord) -> Entry:
    """Its line, and below it why it is off and what it registers, by kind."""
    kinds: dict[str, list[str]] = {}
    for registered in record.registers:
        kind, _, name = registered.partition(" ")
        kinds.setdefault(kind, []).append(name)
    why = [("reason", record.reason)] if record.reason else []
    return Entry(
        (record.name, record.distribution, record.version, record.state),
        (*why, *((kind, ", ".join(names)) for kind, names in kinds.items())),
        STYLES[record.state],
    )
