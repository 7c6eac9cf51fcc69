"""``refhooks hooks``: what there is to implement, and who does."""

from __future__ import annotations

import json

import attrs
import click

from refhooks._core.plugins.loading import load_registry
from refhooks.cli._terminal import working
from refhooks.errors import printable
from refhooks.testing import _implementers


def list_hooks(*, as_json: bool) -> None:
    """Print every hook with its signature, when it fires and its implementers in call order."""
    with working("binding every plugin to a tiny model"):
        entries = _implementers.list_hooks(load_registry())
    if as_json:
        click.echo(json.dumps([attrs.asdict(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        click.secho(entry.signature, bold=True)
        click.echo(f"  fires: {entry.fires}")
        names = [printable(name) for name in entry.implementers]
        click.echo(f"  implemented by: {', '.join(names) or 'nobody'}")
