"""``refhooks import-workflow``: what a workflow of ComfyUI edits, as a strategy file and a command.

A workflow is a stranger's file: it is read as data, no path in it is opened, and what has no equal
is said, node by node. Nothing of ComfyUI is needed or imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks import CommandEntry, hookimpl

if TYPE_CHECKING:
    import click


def _import_command() -> click.Command:
    from refhooks_comfyui._command import import_workflow  # noqa: PLC0415  when it is called

    return import_workflow


@hookimpl
def refhooks_commands() -> list[CommandEntry]:
    """Register the command."""
    summary = "Turn a ComfyUI workflow into a strategy file and a command."
    return [CommandEntry("import-workflow", summary, _import_command)]
